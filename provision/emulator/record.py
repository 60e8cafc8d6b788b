"""Which emulated account a folder has: a record, and a lock that its process holds while it lives.

The kernel drops a lock with its holder, so a process that was killed is known to be dead, and a
process number that the system has given to somebody else is never taken for ours.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from provision.adapters import workspace

RECORD = "emulator.json"
LOG = "emulator.log"
_LOCK = "emulator.lock"
_GLANCE_SECONDS = 2.0  # somebody who only looks holds the lock for a moment


def hold(folder: Path) -> bool:
    """Take the folder for this process until it ends; `False` when another one has it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _GLANCE_SECONDS
    while not _locked(descriptor):
        if time.monotonic() > deadline:
            os.close(descriptor)
            return False
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return True


def holder(folder: Path) -> int | None:
    """The process that has the folder now."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _locked(descriptor):
            return None
        return int(os.pread(descriptor, 32, 0) or b"0") or None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def write(folder: Path, value: dict[str, Any]) -> None:
    """Say that the account answers; mode 0600, in one step."""
    workspace.write_json(folder / RECORD, value)


def read(folder: Path) -> dict[str, Any] | None:
    """What the process that has the folder says of itself; `None` while there is none."""
    value = workspace.read_json(folder / RECORD)
    if value is None or value.get("pid") != holder(folder):
        return None
    return value


def forget(folder: Path) -> None:
    """Take the record away."""
    workspace.remove_file(folder / RECORD)
