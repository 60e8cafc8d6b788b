"""One machine: a disk over the image, its own namespaces and control groups, booted by nspawn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.emulator.agent import ONLINE
from provision.emulator.lab import cgroups, namespaces, network
from provision.emulator.lab.system import located, run, write
from provision.emulator.lab.view import Instance
from provision.errors import ProvisionError

_REBOOT = 133  # systemd-nspawn's exit status when its machine wants to boot again (its manual)
_BOOT_SECONDS = 60.0
_STOP_SECONDS = 90.0
_ASK_SECONDS = 3.0
_POLL_SECONDS = 0.05
_MEMINFO = "/etc/rehearsal/meminfo"
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
    "LANG=C.UTF-8", "TERM=dumb",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What became of a command in a machine."""

    code: int
    out: str
    err: str


class Machine:
    """A machine of the account, from its first boot until it is terminated."""

    def __init__(self, lab: str, folder: Path, image: Path, instance: Instance) -> None:
        self.instance = instance
        self._folder = folder
        self._image = image
        self._group = cgroups.Group(f"{cgroups.PREFIX}{lab}-{instance.id[-8:]}")
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.boots = 0
        self.asked_boots = 0
        self.told_to_stop = False
        self._cut_off = False
        self._memory_bytes = 0

    @property
    def root(self) -> Path:
        """Its file system, while it runs."""
        return self._folder / "root"

    @property
    def console(self) -> Path:
        """What it wrote to its console, over all its boots."""
        return self._folder / "console.log"

    @property
    def runs(self) -> bool:
        """Whether it is up, or on its way."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def has_agent(self) -> bool:
        """Whether it runs, and the stand-in for Systems Manager's agent in it."""
        return self.runs and (self.root / ONLINE).exists()

    def boot(self, memory_bytes: int, *, disk_bytes: int | None = None) -> None:
        """Start it with so much memory; its disk is the one of its last boot, or a new one."""
        if not namespaces.exists(self.instance.id):
            network.plug(self.instance.id, self.instance.mac)
        self._mount(disk_bytes)
        self._memory_bytes = memory_bytes
        self._group.make(memory_bytes)
        self.show_memory()
        self._ending.clear()
        self.told_to_stop = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _mount(self, disk_bytes: int | None) -> None:
        disk = self._folder / "disk"
        for folder in (self.root, disk):
            folder.mkdir(parents=True, exist_ok=True)
        if disk_bytes is not None:
            run(["mount", "-t", "tmpfs", "-o", f"size={disk_bytes},mode=0755", "disk", disk])
        for part in ("upper", "work"):
            (disk / part).mkdir(exist_ok=True)
        layers = f"lowerdir={self._image},upperdir={disk / 'upper'},workdir={disk / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root])
        write(self.root / _MEMINFO.lstrip("/"), "", 0o644)
        write(self.root / "etc/rehearsal/dmi.json", json.dumps(_firmware(self.instance)), 0o644)

    def _live(self) -> None:
        """Boot until it is powered off: nspawn ends when its machine reboots."""
        while not self._ending.is_set():
            self.boots += 1
            with self.console.open("ab") as console:
                self._process = subprocess.Popen(
                    self._words(), stdin=subprocess.DEVNULL, stdout=console, stderr=console
                )
            self._hide_this_machine()
            if self._process.wait() != _REBOOT and not self._cut_off:
                break
            self._begin_again()
        self._unmount()

    def _begin_again(self) -> None:
        """Whatever a power cut left running, and nspawn did not take along, is no part of it."""
        if self._cut_off:
            self._group.remove()
            self._group.make(self._memory_bytes)
        self._cut_off = False

    def _hide_this_machine(self) -> None:
        """Over the kernel's own file, which knows of no limit; nspawn cannot do it at its start."""
        with contextlib.suppress(ProvisionError):
            into = ["nsenter", "-t", str(self.leader()), "--mount", "--"]
            run([*into, "mount", "--bind", _MEMINFO, "/proc/meminfo"])

    def show_memory(self) -> None:
        """What the machine reads as its memory: its own, not that of the machine around it."""
        # In place and in one step: the machine has this very file mounted, and reads it any time.
        path = self._folder / "meminfo"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(descriptor, self._group.meminfo().encode(), 0)
        finally:
            os.close(descriptor)

    def _words(self) -> list[str]:
        nspawn = located([
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
            f"--directory={self.root}", f"--machine={self.instance.id}",
            "--capability=CAP_NET_ADMIN", "--resolv-conf=off", "--timezone=off",
            "--link-journal=no", "--console=read-only",
            f"--bind-ro={self._folder / 'meminfo'}:{_MEMINFO}",
        ])  # fmt: skip
        return self._group.joined(located(namespaces.within(self.instance.id, nspawn)))

    def _unmount(self) -> None:
        # A machine that was killed while nspawn was still making it is nobody's child.
        self._group.remove()
        run(["umount", "--lazy", self.root])

    def leader(self) -> int:
        """The process that is its first one; raises `ProvisionError` when it does not boot."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < deadline and self.runs:
            if self._process is not None and (found := _first_process(self._process.pid)):
                return found
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(_POLL_SECONDS)
        raise ProvisionError(
            f"{self.instance.id} does not run", next_step=f"read its console: {self.console}"
        )

    def run(self, words: Sequence[str], *, given: str = "", patience: float = 120.0) -> Done:
        """Run a command in it as root, and wait for its end."""
        into = ["nsenter", "-t", str(self.leader()), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        command = located([*into, "--", "/usr/bin/env", "-i", *_ENVIRONMENT, *words])
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, text=True, check=False,
                timeout=patience, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            return Done(124, str(late.stdout or ""), f"no end after {patience:g} s")
        return Done(done.returncode, done.stdout, done.stderr)

    def reboot(self) -> None:
        """As `ec2:RebootInstances`: its own system shuts down, and it starts again."""
        self.run(["systemctl", "reboot"])

    def reset(self) -> None:
        """As a power cut: no shutdown, and the next boot finds the disk as it was left."""
        self.leader()
        self._cut_off = True
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    def power_off(self, *, at_once: bool = False) -> None:
        """Shut it down; by force when it takes too long, or `at_once`."""
        self._ending.set()
        self.told_to_stop = True
        if not self.runs:
            return
        if not at_once:
            self._shut_down()
        if self.runs and self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._wait(_STOP_SECONDS)

    def _shut_down(self) -> None:
        """Ask until it listens: a system that has just begun to boot does not yet."""
        deadline = time.monotonic() + _STOP_SECONDS
        while self.runs and time.monotonic() < deadline:
            with contextlib.suppress(ProvisionError):
                self.run(["systemctl", "poweroff", "--no-block"], patience=_ASK_SECONDS)
            self._wait(_ASK_SECONDS)

    def _wait(self, patience: float) -> None:
        if self._thread is not None:
            self._thread.join(patience)

    def remove(self) -> None:
        """Take it away with its disk; its console stays."""
        self.power_off(at_once=True)
        if namespaces.exists(self.instance.id):
            namespaces.remove(self.instance.id)
        run(["sh", "-c", 'umount --lazy "$1" 2>/dev/null || true', "sh", self._folder / "disk"])
        for part in (self._folder / "disk", self.root):
            shutil.rmtree(part, ignore_errors=True)


def _first_process(nspawn: int) -> int | None:
    """The child of nspawn that is process 1 in a namespace of its own."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            if numbers.split()[-1] == "1" and "Name:\tsystemd\n" in status:
                return int(child)
    return None


def _firmware(instance: Instance) -> dict[str, str]:
    """What the firmware of an EC2 machine says (user guide, "Detect EC2 instances")."""
    number = f"ec2{instance.id[-5:]}-0000-4000-8000-{instance.id[-12:]}"
    return {
        "system-uuid": number,
        "system-serial-number": number,
        "system-manufacturer": "Amazon EC2",
        "system-product-name": instance.type,
        "chassis-asset-tag": "Amazon EC2",
        "baseboard-asset-tag": instance.id,
    }
