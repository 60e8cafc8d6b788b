"""What labs are built from, kept in the user's cache: Debian's image, and packages on a shelf."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from provision.emulator.lab import archive, image, wheels

Say = Callable[[str], None]


def fill(cache: Path, say: Say) -> Path:
    """Have everything there, fetched by this machine's apt and pip; returns the image.

    Takes minutes at the first time in a month, and no time afterwards. Raises `ProvisionError`
    with the words of whatever could not fetch.
    """
    shelf = cache / "shelf"
    with _one_at_a_time(cache):
        found = image.prepare(cache, say)
        shelf.mkdir(exist_ok=True)
        archive.fill(shelf, found, say)
        lock = wheels.lock_of(platform.machine())
        if lock.exists():
            wheels.fill(shelf, lock, say)
    return found


@contextlib.contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    descriptor = os.open(cache / "stock.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
