"""One schema's tables from a snapshot into a transaction, and the proof that they arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Table

from provision.errors import ProvisionError
from provision.server.archive import tables
from provision.server.archive.reporting import Reporter
from provision.server.archive.rewriting import Rewriter, without_nan
from provision.server.archive.stores import Tables, count, require_same_columns
from provision.server.archive.tables import Content, Rewrite, Row
from provision.server.archive.troubles import explained

Contents = dict[str, Content]
Where = Callable[[Table], "ColumnElement[bool] | None"]
"""Which rows of a source's table are copied; `None` for all."""


def clear(target: Connection, known: Tables) -> None:
    """Empty the tables, children first."""
    for table in reversed(list(known.values())):
        target.execute(table.delete())


def everything(_: Table) -> ColumnElement[bool] | None:
    """All rows."""
    return None


def copy(  # noqa: PLR0913 - the last one is passed by name
    source: tuple[Connection, Tables],
    target: tuple[Connection, Tables],
    rewriter: Rewriter | None,
    reporter: Reporter,
    what: str,
    *,
    where: Where = everything,
) -> Contents:
    """Copy every table of the target's schema; returns what was written."""
    reading, old = source
    writing, new = target
    reporter.phase(f"counting {what}")
    total = sum(count(reading, old[name], where(old[name])) for name in new)
    reporter.phase(f"copying {what}", total, "rows")
    return {
        name: _copy_table((reading, old[name]), (writing, table), rewriter, reporter, where)
        for name, table in new.items()
    }


def _copy_table(
    source: tuple[Connection, Table],
    target: tuple[Connection, Table],
    rewriter: Rewriter | None,
    reporter: Reporter,
    where: Where,
) -> Content:
    require_same_columns(source[1], target[1])
    names = [column.name for column in tables.columns_of(target[1])]
    changes = _changes(target[0], target[1].name, names, rewriter)
    found = Content()
    with explained(f"copying the table {target[1].name}"):
        for batch in tables.batches(*source, names, where(source[1])):
            if rows := _changed(batch, changes):
                tables.insert(*target, names, rows)
                found.add(rows)
            reporter.advance(len(batch))
    return found


def _changes(
    target: Connection, table: str, names: list[str], rewriter: Rewriter | None
) -> list[Rewrite]:
    changes: list[Rewrite] = []
    if rewriter is not None and (change := rewriter.rows_of(table, names)):
        changes.append(change)
    if target.dialect.name == "sqlite":
        changes.append(without_nan)
    return changes


def _changed(batch: list[Row], changes: list[Rewrite]) -> list[Row]:
    rows = batch
    for change in changes:
        rows = [new for row in rows if (new := change(row)) is not None]
    return rows


def prove(target: Connection, known: Tables, written: Contents, reporter: Reporter) -> None:
    """Read everything back, and raise `ProvisionError` where it is not what was written."""
    reporter.phase("checking the rows", sum(item.rows for item in written.values()), "rows")
    wrong = [
        name
        for name, expected in written.items()
        if read(target, known[name], reporter) != expected
    ]
    if wrong:
        raise ProvisionError(
            f"the copy differs from its source in {', '.join(wrong)}",
            next_step="run this again; if it happens twice, please report it as a fault",
        )


def read(connection: Connection, table: Table, reporter: Reporter) -> Content:
    """What a table holds now."""
    names = [column.name for column in tables.columns_of(table)]
    return tables.content(connection, table, names, reporter.advance)


def read_all(connection: Connection, known: Tables, reporter: Reporter) -> Contents:
    """What all tables hold now."""
    reporter.phase("looking at what is there", sum(count(connection, t) for t in known.values()))
    return {name: read(connection, table, reporter) for name, table in known.items()}


def together(before: Contents, added: Contents) -> Contents:
    """What tables hold after more came into them."""
    return {name: before.get(name, Content()) + content for name, content in added.items()}


def to_json(contents: Contents) -> dict[str, Any]:
    """As the manifest has it."""
    return {name: content.to_json() for name, content in contents.items()}


def set_sequences(target: Connection, known: Tables) -> None:
    """Let PostgreSQL number new rows after the copied ones."""
    if target.dialect.name != "postgresql":
        return
    for table in known.values():
        for column in table.primary_key.columns:
            if isinstance(column.type, sqlalchemy.Integer):
                _set_sequence(target, table, column.name)


def _set_sequence(target: Connection, table: Table, column: str) -> None:
    find = sqlalchemy.text("SELECT pg_get_serial_sequence(:table, :column)")
    name = target.execute(find, {"table": table.name, "column": column}).scalar()
    if name is None:
        return
    largest = target.execute(sqlalchemy.select(sqlalchemy.func.max(table.c[column]))).scalar()
    put = sqlalchemy.text("SELECT setval(:name, :value, :used)")
    used = largest is not None and largest > 0
    target.execute(put, {"name": name, "value": largest if used else 1, "used": used})
