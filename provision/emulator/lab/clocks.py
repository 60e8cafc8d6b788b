"""A wrong clock for one machine: libfaketime, as the kernel's own clock is everybody's."""

from __future__ import annotations

import shutil
from pathlib import Path

from provision.emulator.lab.system import write
from provision.errors import MissingError

_LIBRARY = "usr/lib/libfaketime.so.1"
_UNITS = "etc/systemd/system.conf.d/rehearsal-clock.conf"


def put(root: Path, offset: str) -> None:
    """Let every unit of a machine that is off see a time that is `offset` (`+2h`) from ours.

    An empty offset takes that back. Raises `MissingError` without libfaketime.
    """
    (root / _UNITS).unlink(missing_ok=True)
    if not offset:
        return
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise MissingError(
            "a wrong clock needs libfaketime, not installed here",
            next_step="apt-get install faketime",
        )
    shutil.copyfile(library, root / _LIBRARY)
    wrong = f"LD_PRELOAD=/{_LIBRARY} FAKETIME={offset} FAKETIME_DONT_FAKE_MONOTONIC=1"
    write(root / _UNITS, f"[Manager]\nDefaultEnvironment={wrong}\n", 0o644)
