"""Databases that a server's machine put into a bucket, at hand on this one while a job lasts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import ProvisionError
from provision.server.archive.artifacts import bucket
from provision.server.archive.manifest import DATABASE, USERS
from provision.server.archive.reporting import Reporter
from provision.server.places import Place

if TYPE_CHECKING:
    from provision.server.archive.bucket import Bucket

FILLED = "filled"
"""Below the job's part of the bucket: what is to be in the databases from now on."""


@contextmanager
def at_hand(place: Place, reporter: Reporter, *, filled: bool = False) -> Iterator[Place]:
    """The place with its databases on this machine.

    With `filled`, what they are when the block ends is sent back, for the machine to take.
    """
    if not place.is_ferried:
        yield place
        return
    part = place.database_url.rpartition("/")[0]
    store = bucket(place, part)
    with tempfile.TemporaryDirectory(dir=place.scratch) as name:
        folder = Path(name)
        reporter.phase("fetching the database", 0, "bytes")
        if not store.download(DATABASE, folder / DATABASE, reporter.advance):
            raise ProvisionError(
                f"{place.database_url} is not there", next_step="run the same command again"
            )
        has_users = store.download(USERS, folder / USERS, reporter.advance)
        users = f"sqlite:///{folder / USERS}" if place.users_url or has_users else None
        yield replace(place, database_url=f"sqlite:///{folder / DATABASE}", users_url=users)
        if filled:
            _send(bucket(place, f"{part}/{FILLED}"), folder, reporter)


def _send(store: Bucket, folder: Path, reporter: Reporter) -> None:
    reporter.phase("sending the database", 0, "bytes")
    # The database last: where it is, the rest is.
    for name in (USERS, DATABASE):
        if (folder / name).exists():
            store.upload(folder / name, name, reporter.advance)
