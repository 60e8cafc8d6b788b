"""What a store holds, as far as it decides whether something may be restored into it."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.errors import RefusedError
from provision.server.archive.stores import PASSING, Tables, count

# MLflow makes these rows itself, in every new database.
_DEFAULT_EXPERIMENT = 0
_MADE_BY_MLFLOW = frozenset({"workspaces", "experiment_tags"})


def require_empty(connection: Connection, known: Tables, name: str) -> None:
    """Raise `RefusedError` with what is there when the store holds anything of a user's."""
    found = [
        f"{number} {table.replace('_', ' ')}"
        for table, number in _holdings(connection, known)
        if number
    ]
    if found:
        raise RefusedError(
            f"{name} is not empty: {', '.join(found[:6])}; mixing two stores is refused",
            next_step="restore into another stack (another name in the spec), or "
            "provision archive this one and provision down --delete-data first",
        )


def _holdings(connection: Connection, known: Tables) -> list[tuple[str, int]]:
    others = [name for name in known if name not in PASSING | _MADE_BY_MLFLOW | {"experiments"}]
    return [
        ("experiments", _experiments(connection, known["experiments"])),
        *((name, count(connection, known[name])) for name in others),
    ]


def _experiments(connection: Connection, table: Table) -> int:
    query = (
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(table)
        .where(table.c.experiment_id != _DEFAULT_EXPERIMENT)
    )
    return int(connection.execute(query).scalar_one())
