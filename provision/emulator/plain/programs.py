"""The system's programs as a folder has them: `programs.py ROOT PYTHON NAME ARGUMENTS`.

Stands alone, as the host program starts it without this package on the path. Units are started as
processes of their own, with what their files say; packages are "installed" by noting their names.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NAMES = (
    "systemctl", "journalctl", "apt-get", "dpkg", "dpkg-query", "id", "useradd", "chronyc",
    "systemd-tmpfiles", "caddy", "fallocate", "mkswap",
)  # fmt: skip
PROXY = "caddy.service"
SERVER = "mlflow.service"
HOST = "provision-host.service"
PORT = "run/server.port"
AGAIN = "run/again"
_END_SECONDS = 30.0


class System:
    """The folder's own systemd, apt and accounts."""

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.python = python
        (root / "run").mkdir(parents=True, exist_ok=True)

    def call(self, name: str, words: list[str]) -> int:
        """Run one of the programs; its exit code."""
        known: dict[str, Callable[[list[str]], int]] = {
            "systemctl": self._systemctl,
            "journalctl": self._journalctl,
            "dpkg-query": self._dpkg_query,
            "apt-get": self._apt_get,
            "id": lambda words: int(not self._noted("accounts", words[-1])),
            "useradd": lambda words: self._note("accounts", words[-1]),
        }
        return known[name](words) if name in known else 0

    # -- notes ----------------------------------------------------------------------------------

    def _notes(self, kind: str) -> Path:
        return self.root / "var" / "lib" / "standins" / kind

    def _noted(self, kind: str, name: str) -> bool:
        path = self._notes(kind)
        return path.exists() and name in path.read_text(encoding="utf-8").split()

    def _note(self, kind: str, name: str) -> int:
        path = self._notes(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"{name}\n")
        return 0

    def _dpkg_query(self, words: list[str]) -> int:
        if not self._noted("packages", words[-1]):
            return 1
        sys.stdout.write("installed")
        return 0

    def _apt_get(self, words: list[str]) -> int:
        if "install" in words:
            for name in words[words.index("install") + 1 :]:
                if not name.startswith("-"):
                    self._note("packages", name)
        return 0

    # -- units ----------------------------------------------------------------------------------

    def _systemctl(self, words: list[str]) -> int:
        verb, units = words[0], [word for word in words[1:] if word.endswith(".service")]
        if verb in ("start", "restart"):
            for unit in units:
                if verb == "restart":
                    self.stop(unit)
                self._start(unit)
        elif verb == "stop":
            for unit in units:
                self.stop(unit)
        elif verb == "is-active":
            alive = [self._pid(unit) is not None for unit in units or words[-1:]]
            if "--quiet" not in words:
                sys.stdout.write("".join("active\n" if a else "inactive\n" for a in alive))
            return 0 if all(alive) else 3
        elif verb == "show":
            sys.stdout.write(f"{self._pid(units[-1]) or 0}\n")
        return 0

    def _record(self, unit: str) -> Path:
        return self.root / "run" / f"{unit}.pid"

    def _pid(self, unit: str) -> int | None:
        """The unit's process, which is its session's first one, if it still lives."""
        try:
            pid = int(self._record(unit).read_text(encoding="ascii"))
            os.killpg(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def stop(self, unit: str) -> None:
        """End a unit with all its processes."""
        pid = self._pid(unit)
        if pid is not None and self._is_ours(pid):
            self._signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + _END_SECONDS
            while self._pid(unit) is not None and time.monotonic() < deadline:
                time.sleep(0.05)
            self._signal(pid, signal.SIGKILL)
        self._record(unit).unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        """Whether it is no other program that was given the number of one that has ended."""
        words = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return str(self.root) in done.stdout

    @staticmethod
    def _signal(group: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)

    def _start(self, unit: str) -> None:
        if unit == HOST:
            (self.root / AGAIN).touch()
            return
        if self._pid(unit) is not None:
            return
        command, environment = self._what(unit)
        if not command:
            return
        log = self._log(unit)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            # It outlives this program, which nobody waits for longer than needed.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment,
                cwd=self.root, start_new_session=True,
            )  # fmt: skip
        self._record(unit).write_text(str(process.pid), encoding="ascii")

    def _what(self, unit: str) -> tuple[list[str], dict[str, str]]:
        """A unit's command and environment."""
        environment = {"PATH": os.defpath, **self._defaults()}
        if unit == PROXY:
            package = Path(__file__).parents[3]
            module = "provision.emulator.plain.proxy"
            environment["PYTHONPATH"] = str(package)
            return [self.python, "-m", module, str(self.root)], environment
        path = self.root / "etc" / "systemd" / "system" / unit
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        pairs = [line.partition("=")[::2] for line in lines if "=" in line]
        own = [value.partition("=")[::2] for key, value in pairs if key == "Environment"]
        command = next((shlex.split(v) for key, v in pairs if key == "ExecStart"), [])
        if unit == SERVER:
            command[-1] = str(self._with_a_free_port(Path(command[-1])))
        return command, environment | dict(own)

    def _defaults(self) -> dict[str, str]:
        """What every unit is started with, as systemd's `DefaultEnvironment`."""
        path = self.root / "etc" / "rehearsal" / "environment.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def _with_a_free_port(self, path: Path) -> Path:
        """The server's settings with a port that nothing else on this machine has."""
        settings = json.loads(path.read_text(encoding="utf-8"))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            settings["port"] = probe.getsockname()[1]
        (self.root / PORT).write_text(str(settings["port"]), encoding="ascii")
        copy = self.root / "run" / "server.json"
        copy.write_text(json.dumps(settings), encoding="utf-8")
        copy.chmod(0o600)
        return copy

    def _log(self, unit: str) -> Path:
        return self.root / "var" / "log" / f"{unit}.log"

    def _journalctl(self, words: list[str]) -> int:
        joined = " ".join(words).replace("=", " ").split()
        unit, lines = (joined[joined.index(n) + 1] for n in ("--unit", "--lines"))
        log = self._log(unit)
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        sys.stdout.write("".join(f"{line}\n" for line in text.splitlines()[-int(lines) :]))
        return 0

    def stop_all(self) -> None:
        """End every unit."""
        for record in (self.root / "run").glob("*.pid"):
            self.stop(record.stem)


def install(root: Path, python: str) -> Path:
    """Write the programs into the folder's own `/usr/local/sbin`; returns that."""
    folder = root / "usr" / "local" / "sbin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        words = shlex.join([python, "-I", str(Path(__file__)), str(root), python, name])
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder


if __name__ == "__main__":
    sys.exit(System(Path(sys.argv[1]), sys.argv[2]).call(sys.argv[3], sys.argv[4:]))
