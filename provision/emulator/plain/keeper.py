"""Ends what runs in a rehearsal's folders: `keeper.py FOLDER`, once its standard input ends.

Whoever rehearses holds the other end; however he ends, nothing of it stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from provision.emulator.plain.programs import System

_END_SECONDS = 20.0


def clean(folder: Path) -> None:
    """End units, hosts and databases, and remove their folders."""
    for root in (folder / "machines").glob("*"):
        System(root, sys.executable).stop_all()
    for record in (folder / "databases").glob("*.json"):
        found = json.loads(record.read_text(encoding="utf-8"))
        _end(int(found["pid"]), Path(found["folder"]))
    for part in ("machines", "databases", "snapshots"):
        shutil.rmtree(folder / part, ignore_errors=True)


def _end(pid: int, data: Path) -> None:
    """A PostgreSQL of ours has its number in its folder; any other process is left alone."""
    with contextlib.suppress(OSError):
        lines = (data / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        if lines[0] == str(pid):
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + _END_SECONDS
            while (data / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
    shutil.rmtree(data, ignore_errors=True)


def main(folder: Path) -> None:
    """Wait, then clean."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    clean(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
