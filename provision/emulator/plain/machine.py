"""One machine of the account as a folder, in which the host program runs when it "boots"."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.emulator.lab.machine import Done
from provision.emulator.lab.view import Instance
from provision.emulator.plain.programs import AGAIN, System, install

_AGAIN_SECONDS = 5.0
_BOOT = Path(__file__).with_name("boot.py")


class Machine:
    """From its first boot until it is terminated. `facts` is what the host is told of its place."""

    def __init__(
        self, root: Path, instance: Instance, facts: Mapping[str, str], units: Mapping[str, str]
    ) -> None:
        self.instance = instance
        self.root = root
        self.boots = 0
        self.asked_boots = 0
        self._facts = facts
        self._units = units
        self._system = System(root, sys.executable)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._boot: subprocess.Popen[bytes] | None = None
        self._failed = False

    @property
    def runs(self) -> bool:
        """Whether it is on."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def has_agent(self) -> bool:
        """Whether commands reach it."""
        return self.runs

    def boot(self, user_data: bytes, memory_bytes: int) -> None:
        """Do at the first time what user data says, and let the host do its work."""
        if not self.boots:
            self._begin(user_data, memory_bytes)
        self.boots += 1
        self._ending.clear()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _begin(self, user_data: bytes, memory_bytes: int) -> None:
        """The part of cloud-init that writes files, and what a Debian has already."""
        for name, text in files_of(user_data.decode()).items():
            self._write(name.lstrip("/"), text)
        stack = self.root / "etc" / "provision" / "stack.json"
        found = json.loads(stack.read_text(encoding="utf-8"))
        stack.write_text(json.dumps(found | dict(self._facts)), encoding="utf-8")
        self._write("proc/meminfo", f"MemTotal: {memory_bytes // 1024} kB\n")
        self._write("etc/rehearsal/environment.json", json.dumps(dict(self._units)))
        self._write("var/lib/standins/packages", "unattended-upgrades\namazon-ssm-agent\n")
        python = self.root / "usr" / "bin" / "python3"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.symlink_to(Path(sys.executable).resolve())
        install(self.root, sys.executable)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    @property
    def console(self) -> Path:
        """What it printed, over all its boots."""
        return self.root / "var" / "log" / "console.log"

    def keep_authorities(self, pem: bytes) -> None:
        """The certificates of the databases' authority, which no truststore here hands out."""
        self._write("etc/provision/rds-ca.pem", pem.decode("ascii"))

    def _live(self) -> None:
        """As its unit in systemd: again after a failure, and whenever it is told to."""
        again = self.root / AGAIN
        while not self._ending.is_set():
            again.unlink(missing_ok=True)
            if self._once() != 0 and self._ending.wait(_AGAIN_SECONDS):
                break
            while not (again.exists() or self._failed) and not self._ending.wait(0.2):
                pass

    def _once(self) -> int:
        self.console.parent.mkdir(parents=True, exist_ok=True)
        with self.console.open("ab") as stream:
            self._boot = subprocess.Popen(
                [sys.executable, "-I", str(_BOOT), str(self.root)],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        (self.root / "run" / "boot.pid").write_text(str(self._boot.pid), encoding="ascii")
        code = self._boot.wait()
        self._failed = code != 0
        return code

    def run(self, words: Sequence[str], *, given: str = "", patience: float = 120.0) -> Done:
        """Run a command as if in it: paths of its root lead into the folder."""
        inside = given.replace("/opt/provision", str(self.root / "opt" / "provision"))
        inside = inside.replace("provision.pyz", f"provision.pyz --root {self.root}")
        inside = inside.replace("/usr/bin/python3", sys.executable)
        folder = self.root / "usr" / "local" / "sbin"
        environment = {"PATH": f"{folder}{os.pathsep}{os.defpath}", "HOME": str(self.root)}
        try:
            done = subprocess.run(
                list(words), input=inside, capture_output=True, text=True, check=False,
                timeout=patience, env=environment, cwd=self.root,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Done(124, "", f"no end after {patience:g} s")
        return Done(done.returncode, done.stdout, done.stderr)

    def power_off(self) -> None:
        """End it with all that it started; the folder stays."""
        self._ending.set()
        if self._boot is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._boot.pid, signal.SIGKILL)
        if self._thread is not None:
            self._thread.join()
        self._system.stop_all()

    def remove(self) -> None:
        """Take it away with its folder."""
        self.power_off()
        shutil.rmtree(self.root, ignore_errors=True)


def files_of(user_data: str) -> dict[str, str]:
    """The files that our own user data writes, by their paths (`host/user_data.py`)."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in user_data.splitlines():
        if line.startswith("- path: "):
            name = line.removeprefix("- path: ")
            found[name] = []
        elif name and (line.startswith("    ") or not line):
            found[name].append(line[4:])
        elif name and not line.startswith("  "):
            name = ""
    return {path: "\n".join([*lines, ""]) for path, lines in found.items()}
