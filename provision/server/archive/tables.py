"""Rows from one database into another: in batches, rewritten on the way, and a digest of them.

Values travel as Python's own types, so that a row is the same on SQLite and on PostgreSQL. JSON
travels as the text that it is stored as: parsing it would lose how it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any

import sqlalchemy
from psycopg2 import extras
from sqlalchemy import Column, ColumnElement, Connection, Table

BATCH = 5_000
_MODULUS = 1 << 128

Row = tuple[Any, ...]
Rewrite = Callable[[Row], Row | None]
"""Changes a row on its way, or drops it (`None`)."""


@dataclass
class Content:
    """What a table holds: the number of its rows, and a digest that no order of them changes."""

    rows: int = 0
    digest: int = 0

    def add(self, batch: Sequence[Row]) -> None:
        """Take more rows in."""
        self.rows += len(batch)
        self.digest = (self.digest + sum(map(_digest, batch))) % _MODULUS

    def __add__(self, other: Content) -> Content:
        """Of both, as the rows of one table."""
        return Content(self.rows + other.rows, (self.digest + other.digest) % _MODULUS)

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {"rows": self.rows, "digest": f"{self.digest:032x}"}


def _digest(row: Row) -> int:
    text = repr(row).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=16).digest(), "big")


def columns_of(table: Table) -> list[Column[Any]]:
    """The columns that are stored; the database works the others out."""
    return [column for column in table.columns if column.computed is None]


def batches(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    where: ColumnElement[bool] | None = None,
) -> Iterator[list[Row]]:
    """The rows in batches of 5,000; PostgreSQL keeps the rest on its side."""
    query = sqlalchemy.select(*(_as_stored(table.columns[name]) for name in names))
    query = query if where is None else query.where(where)
    options = {"stream_results": True, "max_row_buffer": BATCH}
    # For this query alone: set on the connection, they would hold for what is written on it too.
    result = connection.execute(query, execution_options=options)
    for partition in result.partitions(BATCH):
        yield [tuple(row) for row in partition]


def _as_stored(column: Column[Any]) -> Any:
    if isinstance(column.type, sqlalchemy.JSON):
        return sqlalchemy.cast(column, sqlalchemy.Text).label(column.name)
    return column


def content(
    connection: Connection, table: Table, names: Sequence[str], seen: Callable[[int], None]
) -> Content:
    """Read a table and say what it holds."""
    found = Content()
    for batch in batches(connection, table, names):
        found.add(batch)
        seen(len(batch))
    return found


def insert(connection: Connection, table: Table, names: Sequence[str], rows: list[Row]) -> None:
    """Write rows with the driver's own fastest way."""
    quote = connection.dialect.identifier_preparer.quote
    target = f"{quote(table.name)} ({', '.join(map(quote, names))})"
    # All names come from MLflow's own schema, reflected and quoted.
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        plain = [_for_sqlite(row) for row in rows] if _has_dates(table) else rows
        connection.exec_driver_sql(f"INSERT INTO {target} VALUES ({marks})", plain)  # noqa: S608
        return
    statement = f"INSERT INTO {target} VALUES %s".replace("%", "%%").replace("%%s", "%s")  # noqa: S608
    raw = connection.connection.cursor()
    try:
        extras.execute_values(raw, statement, rows, page_size=1_000)
    finally:
        raw.close()


def _has_dates(table: Table) -> bool:
    return any(isinstance(column.type, sqlalchemy.Date) for column in table.columns)


def _for_sqlite(row: Row) -> Row:
    return tuple(item.isoformat() if isinstance(item, date) else item for item in row)
