"""Artifact locations in a SQLite backend store: absolute paths and served ones, both ways.

A client that uses the SQLite file without a server freezes absolute paths into it. Served, the
same artifacts are at `mlflow-artifacts:/...`, which every client can reach. Standard library only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SCHEME = "mlflow-artifacts:/"

# Every column of MLflow 3.17's schema (mlflow/store/tracking/dbmodels/models.py and
# mlflow/store/model_registry/dbmodels/models.py) in which MLflow itself stores where artifacts are.
COLUMNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("experiments", "artifact_location", ()),
    ("runs", "artifact_uri", ()),
    ("logged_models", "artifact_location", ()),
    ("model_versions", "source", ()),
    ("model_versions", "storage_location", ()),
    ("trace_tags", "value", ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")),
)
"""Table and column; of a table of tags, the keys whose values are locations."""


Change = tuple[str, str, int, str]


def to_served(connection: sqlite3.Connection, root: Path, prefix: str = "") -> int:
    """Make locations below `root` served ones, in one transaction; returns how many changed.

    `prefix` is where `root` lies inside the server's artifact destination. Locations elsewhere
    stay as they are.
    """
    return _apply(connection, _changes(connection, server(root, prefix)))


def to_local(connection: sqlite3.Connection, root: Path, prefix: str = "") -> int:
    """The way back: served locations become `file://` URIs below `root`; returns how many."""
    return _apply(connection, _changes(connection, localiser(root, prefix)))


def count_local(connection: sqlite3.Connection, root: Path) -> int:
    """How many locations `to_served` would change."""
    return sum(1 for _ in _changes(connection, server(root, "")))


def server(root: Path, prefix: str) -> Callable[[str], str | None]:
    """What makes a location below `root` a served one, and says `None` to any other."""

    def served(location: str) -> str | None:
        path = local_path(location)
        if path is None or not path.is_relative_to(root):
            return None
        relative = path.relative_to(root).as_posix()
        # MLflow reads these three as URI syntax on one side of the wire and as letters on the
        # other, so no served location reaches such a folder.
        if any(letter in relative for letter in "%?#"):
            return None
        parts = [part for part in (prefix, relative) if part not in ("", ".")]
        return SCHEME + "/".join(parts)

    return served


def localiser(root: Path, prefix: str) -> Callable[[str], str | None]:
    """What makes a served location a `file://` URI below `root`, and says `None` to any other."""

    base = SCHEME + (prefix + "/" if prefix else "")

    def local(location: str) -> str | None:
        # `mlflow-artifacts://host/...` names another server and is left alone.
        if location.startswith(SCHEME + "/"):
            return None
        if location.rstrip("/") == base.rstrip("/"):
            return root.as_uri()
        if not location.startswith(base):
            return None
        return root.as_uri() + "/" + quote(location.removeprefix(base))

    return local


def local_path(location: str) -> Path | None:
    """The path that a location names on this machine; `None` for any other kind."""
    if location.startswith("/"):
        return _normal(location)
    parts = urlsplit(location)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return _normal(unquote(parts.path))


def _normal(path: str) -> Path | None:
    # A path that climbs could leave the root again.
    return None if ".." in Path(path).parts else Path(path)


def _changes(
    connection: sqlite3.Connection, rewrite: Callable[[str], str | None]
) -> Iterator[Change]:
    for table, column, keys in COLUMNS:
        if not _has_column(connection, table, column):
            continue
        listed = ", ".join(f"'{key}'" for key in keys)
        where = f"{column} IS NOT NULL" + (f" AND key IN ({listed})" if keys else "")
        # Table and column names come from the list above, never from outside.
        query = f"SELECT rowid, {column} FROM {table} WHERE {where}"  # noqa: S608
        for row, location in connection.execute(query).fetchall():
            changed = rewrite(location)
            if changed is not None and changed != location:
                yield table, column, row, changed


def _has_column(connection: sqlite3.Connection, table: str, column: str) -> bool:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return (column,) in found


def _apply(connection: sqlite3.Connection, changes: Iterator[Change]) -> int:
    count = 0
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column, row, location in changes:
            statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608
            connection.execute(statement, (location, row))
            count += 1
    return count
