"""The door to other programs: an argument list in, output out, and what failed kept for the report.

No program inherits this one's environment, so nothing depends on who started the bootstrap, and
secrets travel through standard input alone.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from provision.host.failures import HostError

_TAIL_LINES: Final = 15
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
_DISK_FULL: Final = ("No space left on device", "not enough free space", "Disk quota exceeded")


class Commands(Protocol):
    """What phases may ask of other programs."""

    def run(
        self,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> str:
        """Run a program; its output. Raises HostError `command-failed`, `disk-full`."""

    def succeeds(self, *command: str) -> bool:
        """Whether a program, asked something, exits with 0."""


class SystemCommands:
    """The programs of this machine; those in the folder `first` come before all others."""

    def __init__(self, first: str = "") -> None:
        path = f"{first}:{_ENVIRONMENT['PATH']}" if first else _ENVIRONMENT["PATH"]
        self._environment = {**_ENVIRONMENT, "PATH": path}

    def run(
        self,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> str:
        """Run a program; its output. Raises HostError `command-failed`, `disk-full`."""
        try:
            done = subprocess.run(
                command,
                input=stdin,
                env={**self._environment, **(env or {})},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            output = error.stderr or error.output or b""
            text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
            raise failed(command, f"did not end in {timeout:.0f} s", text) from error
        except OSError as error:
            raise failed(command, error.strerror or str(error), "") from error
        if done.returncode:
            raise failed(command, f"exit code {done.returncode}", done.stdout + done.stderr)
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        """Whether a program, asked something, exits with 0."""
        try:
            done = subprocess.run(command, env=self._environment, capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0


def failed(command: Sequence[str], how: str, output: str) -> HostError:
    """The error for a program that did not do its work."""
    shown = shlex.join(command)
    tail = [line.rstrip() for line in output.splitlines() if line.strip()][-_TAIL_LINES:]
    if any(words in output for words in _DISK_FULL):
        return disk_full(f"`{shown}` ran out of space", shown, tail)
    last = f": {tail[-1]}" if tail else ""
    return HostError(
        "command-failed",
        f"`{command[0]}` failed ({how}){last}",
        next_step="the lines above say why; the machine tries again every minute, and "
        "`provision repair` does at once",
        command=shown,
        tail=tail,
    )


def disk_full(what: str, command: str = "", tail: Sequence[str] = ()) -> HostError:
    """The error for a disk without space."""
    return HostError(
        "disk-full",
        f"the machine's disk is full: {what}",
        next_step="give it more in the spec (aws.settings.disk_gib) and `provision up`, or free "
        "space on it",
        command=command,
        tail=tail,
    )
