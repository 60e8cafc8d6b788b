"""The databases of a store brought to the schema of this MLflow, and the proof that no row is lost.

For a copy that nobody uses: the caller has made it, and lets it take the store's place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Engine

from provision.errors import ProvisionError, RefusedError
from provision.server import postgres_dialect
from provision.server.archive.reporting import Reporter
from provision.server.database import probe_engine
from provision.server.failures import first_line
from provision.server.places import Place
from provision.server.schemas import AUTH, TRACKING, Schema, State

_log = logging.getLogger("provision.server")

# What people made; other tables are MLflow's own to rebuild as it migrates.
_COUNTED: Final = (
    "experiments", "runs", "metrics", "params", "tags", "trace_info", "registered_models",
    "model_versions", "users",
)  # fmt: skip


def migrate(place: Place, reporter: Reporter) -> dict[str, Any]:
    """Upgrade what is older; the result names each schema's revisions and counts the rows."""
    found = {}
    for schema, url in _schemas(place):
        engine = probe_engine(url)
        state, revision = schema.state(engine)
        if state is State.OLDER:
            reporter.phase(f"migrating a copy of the {schema.name} database")
            rows = _upgraded(engine, schema)
            found[schema.name] = {"from": revision or "", "to": schema.head(), "rows": rows}
        elif state not in (State.CURRENT, State.EMPTY):
            raise _unusable(schema, state, revision)
    return {"schemas": found}


def _schemas(place: Place) -> Iterator[tuple[Schema, str]]:
    if not place.database_url.startswith("sqlite:"):
        postgres_dialect.install()
    yield TRACKING, place.database_url
    if place.users_url:
        yield AUTH, place.users_url


def _upgraded(engine: Engine, schema: Schema) -> int:
    before = _counts(engine)
    try:
        schema.upgrade(engine)
    except Exception as error:
        _log.exception("the migration failed")
        raise ProvisionError(
            f"MLflow's migration of the {schema.name} schema fails on a copy of this database: "
            f"{first_line(error)}; the server was not changed",
            next_step="provision up with the version that you had; report this with MLflow's words",
        ) from error
    after = _counts(engine)
    lost = [f"{name}: {n} before, {after.get(name, 0)} after" for name, n in before.items()
            if after.get(name, 0) < n]  # fmt: skip
    if lost:
        raise ProvisionError(
            f"MLflow's migration loses rows of a copy of this database ({', '.join(lost)}); the "
            "server was not changed",
            next_step="stay with the version that you had, and report this",
        )
    return sum(after.values())


def _counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        there = set(sqlalchemy.inspect(connection).get_table_names())
        return {
            name: int(
                connection.execute(
                    sqlalchemy.select(sqlalchemy.func.count()).select_from(sqlalchemy.table(name))
                ).scalar_one()
            )
            for name in _COUNTED
            if name in there
        }


def _unusable(schema: Schema, state: State, revision: str | None) -> RefusedError:
    return RefusedError(
        f"the {schema.name} schema is {state.value} (revision {revision or 'none'}): this "
        "version's MLflow cannot migrate it",
        next_step="provision up names what is wrong with it",
    )
