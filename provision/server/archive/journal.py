"""Which artifacts are in an unfinished archive already, so that the next try goes on from there.

A SQLite file: it survives a kill, and a million files take no memory.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from provision.server.archive.sums import Facts, Fetched, Sum

NAME = ".journal.db"
_COMMIT_SECONDS = 0.2
_TABLE = """
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, digest TEXT, pass INTEGER
) WITHOUT ROWID
"""


class Journal:
    """The files that were copied: size and time of the source, digest, and in which try seen."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / NAME)
        self._connection.execute(_TABLE)
        # What was not noted is copied again; waiting for the disk each time would cost more.
        self._connection.execute("PRAGMA synchronous = OFF")
        last = self._connection.execute("SELECT max(pass) FROM files").fetchone()[0]
        self._pass = (last or 0) + 1
        self._committed = time.monotonic()

    def known(self, path: str, source: Facts) -> bool:
        """Whether this very file was copied before; it then counts as seen in this try."""
        facts = (self._pass, os.fsencode(path), *source)
        statement = "UPDATE files SET pass = ? WHERE path = ? AND size = ? AND mtime = ?"
        return self._connection.execute(statement, facts).rowcount == 1

    def add(self, path: str, copied: Fetched) -> None:
        """Note a file whose copy is in its place."""
        facts = (os.fsencode(path), *copied.facts, copied.digest, self._pass)
        self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", facts)
        if time.monotonic() - self._committed > _COMMIT_SECONDS:
            self._connection.commit()
            self._committed = time.monotonic()

    def forget_unseen(self) -> None:
        """Drop what earlier tries copied and this one did not find any more."""
        self._connection.execute("DELETE FROM files WHERE pass <> ?", (self._pass,))
        self._connection.commit()

    def has(self, path: str) -> bool:
        """Whether a file belongs to the archive."""
        query = "SELECT 1 FROM files WHERE path = ?"
        return self._connection.execute(query, (os.fsencode(path),)).fetchone() is not None

    def totals(self) -> tuple[int, int]:
        """Number of files and their bytes."""
        query = "SELECT count(*), coalesce(sum(size), 0) FROM files"
        files, size = self._connection.execute(query).fetchone()
        return int(files), int(size)

    def all(self) -> Iterator[Sum]:
        """Every file, by path."""
        for path, digest in self._connection.execute(
            "SELECT path, digest FROM files ORDER BY path"
        ):
            yield Sum(os.fsdecode(path), digest)

    def close(self) -> None:
        """Write the rest and let go of the file."""
        self._connection.commit()
        self._connection.close()
