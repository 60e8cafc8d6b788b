"""What a store holds, as far as it decides whether something may be restored into it."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.errors import RefusedError
from provision.server.archive.stores import PASSING, Tables, count

# MLflow makes these rows itself, in every new database.
_DEFAULT_EXPERIMENT = 0
_MADE_BY_MLFLOW = frozenset({"workspaces", "experiment_tags"})
# Parts of runs and traces, which are counted themselves.
_PARTS = frozenset({"metrics", "latest_metrics", "params", "tags", "inputs", "input_tags"})
# `provision check` leaves its experiments in MLflow's trash, one at every `up`.
_CHECKS = "provision-check-%"


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
            next_step="restore into another stack (another name in the spec), or add "
            "--into-existing to mix the two",
        )


def _holdings(connection: Connection, known: Tables) -> list[tuple[str, int]]:
    counted = {"experiments", "runs"} | _PARTS | _MADE_BY_MLFLOW | PASSING
    return [
        ("experiments", _number(connection, _experiments(known))),
        ("runs", _number(connection, _runs(known))),
        *((name, count(connection, known[name])) for name in known if name not in counted),
    ]


def _number(connection: Connection, query: sqlalchemy.Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())


def _experiments(known: Tables) -> sqlalchemy.Select[Any]:
    table = known["experiments"]
    return (
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(table)
        .where(table.c.experiment_id != _DEFAULT_EXPERIMENT, ~_is_check(table))
    )


def _runs(known: Tables) -> sqlalchemy.Select[Any]:
    runs, experiments = known["runs"], known["experiments"]
    both = runs.join(experiments, runs.c.experiment_id == experiments.c.experiment_id)
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(both)
    return query.where(~_is_check(experiments))


def _is_check(experiments: Table) -> sqlalchemy.ColumnElement[bool]:
    in_trash = experiments.c.lifecycle_stage == "deleted"
    return sqlalchemy.and_(experiments.c.name.like(_CHECKS), in_trash)
