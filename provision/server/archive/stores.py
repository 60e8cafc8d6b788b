"""Databases of one store: opened as one consistent snapshot, or in one transaction to be filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Engine, MetaData, Table

from provision.errors import ProvisionError, RefusedError
from provision.server.database import probe_engine
from provision.server.schemas import AUTH, TRACKING, Schema, State

SCHEMAS = {"tracking": TRACKING, "users": AUTH}
Tables = Mapping[str, Table]

# What the server keeps for itself and rebuilds: no data of a user's.
PASSING = frozenset(
    {
        "jobs",
        "job_locks",
        "scheduler_leases",
        "sql_assessment_daily_rollups",
        "sql_span_cost_daily_rollups",
        "sql_trace_metric_daily_rollups",
        "sql_trace_rollup_rebuild_queue",
    }
)


def engine_for(url: str) -> Engine:
    """An engine without a pool; SQLite with explicit transactions only."""
    engine = probe_engine(url)
    if engine.dialect.name == "sqlite":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(isolation_level="REPEATABLE READ")


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the database as it is now, however long it reads."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.exec_driver_sql("BEGIN")
            # The snapshot is taken by the first read, not by BEGIN.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
            yield connection
            connection.exec_driver_sql("ROLLBACK")
            return
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        yield connection


@contextmanager
def filling(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction, committed when the body ends and rolled back otherwise."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            connection.commit()
            return
        # Rows come table by table, parents first, except where two tables point at each other.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def tables_of(engine: Engine, schema: Schema) -> Tables:
    """The tables of one of MLflow's schemas as they are in this database, parents first.

    Both schemas may share a database; the auth schema keeps tables that its models do not name any
    more (`mlflow/server/auth/db/models.py`), so tracking's are those which its own models name, and
    auth's the rest of what its migrations made.
    """
    found = MetaData()
    found.reflect(engine)
    tracking = TRACKING.expected().tables
    alembic = {TRACKING.alembic_table, AUTH.alembic_table}
    return {
        table.name: table
        for table in found.sorted_tables
        if table.name not in alembic and (table.name in tracking) is (schema is TRACKING)
    }


def require_current(engine: Engine, schema: Schema, what: str) -> None:
    """Raise `RefusedError` unless the database has exactly the schema that this MLflow uses."""
    state, revision = schema.state(engine)
    if state is State.CURRENT:
        return
    raise RefusedError(
        f"{what}: the {schema.name} schema is {_STATES[state]} (revision {revision or 'none'}; "
        f"this MLflow needs {schema.head()})",
        next_step=_STEPS.get(state, "name a database that a stack of provision has used"),
    )


_STATES = {
    State.EMPTY: "not there yet",
    State.OLDER: "from an older MLflow",
    State.NEWER: "from a newer MLflow",
    State.FOREIGN: "another program's",
    State.INCOMPLETE: "incomplete",
}
_STEPS = {
    State.EMPTY: "provision up makes it",
    State.OLDER: "provision up --upgrade-database, which makes a backup first; then run this again",
    State.NEWER: "install the version of this kit that wrote it (`provision version` there)",
    State.INCOMPLETE: "put a copy of the database in its place, then run this again",
}


def count(connection: Connection, table: Table, where: ColumnElement[bool] | None = None) -> int:
    """The number of rows; of those for which `where` holds."""
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(table)
    found = connection.execute(query if where is None else query.where(where))
    return int(found.scalar_one())


def require_same_columns(source: Table, target: Table) -> None:
    """Raise `ProvisionError` where one side has a column that the other lacks."""
    if set(source.columns.keys()) != set(target.columns.keys()):
        raise ProvisionError(
            f"the table {source.name} has other columns in the two databases",
            next_step="bring both stacks up with the same version of provision, then try again",
        )
