"""The door to the files of a stack without a server: a SQLite database and an artifact folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from provision.model.checks import DatabaseState

_HEADER: Final = b"SQLite format 3\0"
_REVISION: Final = re.compile(r"^(down_revision|revision)\s*=\s*[\"']?(\w+)", re.MULTILINE)
# How long to wait for another process's write lock, in seconds. Clients wait for 20.
_PATIENCE: Final = 2.0


class LocalFiles:
    """Looks at files the way MLflow's client would use them, and leaves them as they are."""

    def inspect(self, database: Path) -> DatabaseState:
        """Header, SQLite's own quick check, the write lock, and the schema's revision."""
        if not _writable_folder(database.parent):
            return DatabaseState("database.no-folder", f"{database.parent} cannot be written")
        try:
            # Opened for writing too: SQLite itself takes a read-only file without a word.
            with database.open("r+b") as file:
                header = file.read(len(_HEADER))
        except FileNotFoundError:
            return DatabaseState("", "does not exist yet; the first client creates it")
        except OSError as error:
            return DatabaseState("database.read-only", str(error.strerror))
        if header and header != _HEADER:
            return DatabaseState("database.not-sqlite", f"begins with {header!r}")
        return _look_inside(database)

    def known_revisions(self) -> tuple[str, ...]:
        """Read from the migration scripts of the installed MLflow, which is not imported."""
        found = importlib.util.find_spec("mlflow")
        if found is None or found.origin is None:
            return ()
        folder = Path(found.origin).parent / "store" / "db_migrations" / "versions"
        scripts = (script.read_text(encoding="utf-8") for script in sorted(folder.glob("*.py")))
        pairs = [dict(_REVISION.findall(script)) for script in scripts]
        return _in_order({pair["down_revision"]: pair["revision"] for pair in pairs if pair})

    def try_folder(self, folder: Path) -> bool:
        """Raises OSError where the folder cannot be made or written."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f".provision-check-{secrets.token_hex(6)}"
        content = secrets.token_bytes(64 * 1024)
        try:
            file.write_bytes(content)
            return hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(content).digest()
        finally:
            file.unlink(missing_ok=True)


def _writable_folder(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _in_order(successors: dict[str, str]) -> tuple[str, ...]:
    """The chain of revisions, from the first one, whose predecessor is None."""
    chain: list[str] = []
    current = successors.get("None")
    while current is not None and current not in chain:
        chain.append(current)
        current = successors.get(current)
    return tuple(chain)


def _look_inside(database: Path) -> DatabaseState:
    uri = f"{database.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE)) as connection:
            connection.isolation_level = None
            return _examine(connection)
    except sqlite3.OperationalError as error:
        return DatabaseState(_operational_problem(str(error)), str(error))
    except sqlite3.DatabaseError as error:
        return DatabaseState("database.damaged", str(error))


def _operational_problem(message: str) -> str:
    return "database.locked" if "locked" in message else "database.damaged"


def _examine(connection: sqlite3.Connection) -> DatabaseState:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        return DatabaseState("database.damaged", str(verdict))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "alembic_version" not in names or "experiments" not in names:
        detail = f"sound, {len(names)} tables and indexes, none of them MLflow's"
        return DatabaseState("", detail if names else "empty", tables=len(names))
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = str(row[0]) if row else None
    return DatabaseState("", f"sound, schema {revision}", revision, len(names))
