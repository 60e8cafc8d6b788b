"""The processes that score: this program's own, or those of a starter that may do less."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

PROGRAM: Final = ("-P", "-m", "provision.server.scoring")
_STOP_SECONDS: Final = 10.0
_STARTER_SECONDS: Final = 30.0
_NO_ROOM: Final = (
    "it was killed, most likely because it needs more memory than it may have: provision serve "
    "--memory gives it more"
)


class Child(Protocol):
    """A scoring server for one version."""

    @property
    def socket(self) -> str:
        """Where it answers."""

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""

    def why(self) -> str:
        """Why it ended, in one line."""

    def end(self) -> None:
        """Let it finish what it has begun, then end it."""


Launch = Callable[[Path, str], Child]
"""Starts one for a folder of files, with a name for its socket."""


def reason(code: int | None, left: str) -> str:
    """Why a process ended: its own words, or its exit code."""
    return left or (_NO_ROOM if code == -signal.SIGKILL else f"its process ended with code {code}")


def take_words(at: Path) -> str:
    """What a process left beside its socket about why it ended."""
    left = Path(f"{at}.error")
    try:
        return left.read_text(encoding="utf-8")
    except OSError:
        return ""
    finally:
        left.unlink(missing_ok=True)


class OwnChild:
    """A process of this program."""

    def __init__(self, python: str, files: Path, at: str) -> None:
        self.socket = at
        self._process = subprocess.Popen([python, *PROGRAM, str(files), at], stdin=subprocess.PIPE)

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def why(self) -> str:
        """Why it ended, in one line."""
        return reason(self._process.returncode, take_words(Path(self.socket)))

    def end(self) -> None:
        """Let it finish what it has begun, then end it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        Path(self.socket).unlink(missing_ok=True)


class LentChild:
    """A process of the starter: it lives as long as the connection that asked for it."""

    def __init__(self, starter: str, python: str, files: Path, name: str) -> None:
        self.socket = str(Path(starter).with_name(name))
        self._said: Mapping[str, Any] | None = None
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._reach(starter)
            wish = {"python": python, "files": str(files), "socket": name}
            self._line.sendall(json.dumps(wish).encode() + b"\n")
        except OSError as error:
            self._over(f"its starter does not answer: {error.strerror}")

    def _reach(self, starter: str) -> None:
        """Both begin together, and which of them is ready first is chance."""
        deadline = time.monotonic() + _STARTER_SECONDS
        while True:
            try:
                return self._line.connect(starter)
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _over(self, why: str) -> None:
        self._said = {"code": 1, "why": why}
        self._line.close()

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        if self._said is None:
            self._hear(0.0)
        return None if self._said is None else int(self._said["code"])

    def _hear(self, seconds: float) -> None:
        self._line.settimeout(seconds)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            try:
                heard = self._line.recv(65536)
                self._said = json.loads(heard) if heard else {"code": 1, "why": "its starter ended"}
            except (ConnectionError, ValueError) as error:
                self._over(f"its starter ended: {error}")

    def why(self) -> str:
        """Why it ended, in one line."""
        said = self._said or {"code": None, "why": ""}
        return reason(said["code"], str(said["why"]))

    def end(self) -> None:
        """Let it finish what it has begun, then end it."""
        if self._said is None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_WR)
                self._hear(2 * _STOP_SECONDS)
        self._line.close()
