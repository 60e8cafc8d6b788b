"""A SQLite file before MLflow opens it: is it whole, may we write it, copy it, switch it to WAL."""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from provision.server.failures import BootError

_MAGIC = b"SQLite format 3\x00"
_CHECK_SECONDS = 5.0


def path_of(url: str) -> Path:
    """The file behind a `sqlite:////absolute/path` URL."""
    return Path(unquote(url.removeprefix("sqlite:///").partition("?")[0]))


def check(path: Path, backup_dir: Path) -> None:
    """Raise BootError `database-damaged` for a file that SQLite cannot trust.

    `PRAGMA quick_check` reads the whole file, so on a large one it stops after five seconds: a
    restart must stay quick. Errors of the file system come through as they are.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise damaged(path, backup_dir, "it does not begin like a SQLite file")
    if problem := _quick_check(path):
        raise damaged(path, backup_dir, problem)


def _quick_check(path: Path) -> str:
    # Read-only: looking at a damaged file must not change it.
    address = f"file:{quote(str(path))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        deadline = time.monotonic() + _CHECK_SECONDS
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
        try:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return ""
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                return str(error)
            raise
    return "" if found == "ok" else found


def damaged(path: Path, backup_dir: Path, problem: str) -> BootError:
    """The error for a damaged file, with the two ways back.

    The file's `-wal` and `-shm` go with it: SQLite would replay them into whatever takes its place.
    `.recover` of the sqlite3 program fails on MLflow's schema (3.40: "SQL logic error"), so what is
    readable is saved by `.dump`, which ends in ROLLBACK when it met a damaged page.
    """
    aside = path.parent / "damaged"
    here, there = shlex.quote(str(path)), shlex.quote(str(aside))
    kept = shlex.quote(str(aside / path.name))
    return BootError(
        "database-damaged",
        f"the database {path} is damaged: {problem.splitlines()[0]}",
        next_step=(
            f"keep it: `mkdir {there} && mv {here}* {there}`. Then put a copy from {backup_dir} in "
            f"its place, or save what is readable: `sqlite3 {kept} .dump | sed 's/^ROLLBACK.*/"
            f"COMMIT;/' | sqlite3 {here}`; then `provision up`"
        ),
    )


def enable_wal(path: Path) -> None:
    """Switch the file to write-ahead logging, so that readers and the writer do not wait.

    The setting stays with the file. Where the file system cannot do it (no shared memory, as on
    network shares), SQLite keeps its mode and everything still works. `synchronous` stays at
    FULL: a commit that was acknowledged survives a power cut.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def settle(path: Path) -> None:
    """Write the log back into the file: SQLite does it when the last connection closes."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def back_up(path: Path, backup_dir: Path, reason: str) -> Path:
    """Copy a database that may be in use, whole or not at all; returns the copy's path."""
    backup_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = backup_dir / f"{path.stem}-{reason}-{stamp}{path.suffix}"
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        copy(path, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def copy(source: Path, target: Path) -> None:
    """Write the content of one database into another, in one transaction of the target."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def publish(part: Path, path: Path) -> None:
    """Put a finished database in its place so that a crash leaves either none or the whole."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
