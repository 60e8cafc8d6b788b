"""MLflow's two schemas, tracking and auth: what a database holds, and how to create or upgrade it.

What MLflow itself does at start (`mlflow/store/db/utils.py`: `_safe_initialize_tables`,
`_verify_schema`; `mlflow/server/auth/db/utils.py`: `migrate_if_needed`) differs: it creates tables
in whatever database it is given, and upgrades the auth schema unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module

import sqlalchemy
from alembic.script import ScriptDirectory
from sqlalchemy import Engine


class State(Enum):
    """What a database is to this MLflow."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Facts:
    """What was found in a database: its tables, the recorded revision, whether it holds data."""

    tables: frozenset[str]
    revision: str | None
    has_rows: bool


@dataclass(frozen=True)
class Expected:
    """What MLflow knows: its revisions, the newest one, the tables of that and of the first."""

    revisions: frozenset[str]
    head: str
    tables: frozenset[str]
    first_tables: frozenset[str]
    alone: bool


def classify(facts: Facts, expected: Expected) -> State:
    """Decide from facts alone.

    Without a recorded revision, first tables that hold no rows are an initialisation that was cut
    short. `expected.alone` says whether tables of others in the database are a reason to refuse.
    """
    own = facts.tables & (expected.tables | expected.first_tables)
    if facts.revision is None:
        if not own:
            return State.FOREIGN if facts.tables and expected.alone else State.EMPTY
        return State.OLDER if facts.has_rows else State.EMPTY
    if facts.revision not in expected.revisions:
        return State.NEWER if own else State.FOREIGN
    if facts.revision != expected.head:
        return State.OLDER
    return State.CURRENT if expected.tables <= facts.tables else State.INCOMPLETE


@dataclass(frozen=True)
class Schema:
    """One of MLflow's schemas. `alembic_table` records its revision, `marker` tells of data."""

    name: str
    alembic_table: str
    marker: str
    expected: Callable[[], Expected]
    create: Callable[[Engine], None]
    upgrade: Callable[[Engine], None]

    def head(self) -> str:
        """The revision that this MLflow needs."""
        return self.expected().head

    def state(self, engine: Engine) -> tuple[State, str | None]:
        """What the database is, and the revision that it records."""
        facts = self._facts(engine)
        return classify(facts, self.expected()), facts.revision

    def _facts(self, engine: Engine) -> Facts:
        names = set(sqlalchemy.inspect(engine).get_table_names())
        revision = (
            _first(engine, self.alembic_table, "version_num")
            if (self.alembic_table in names)
            else None
        )
        has_rows = self.marker in names and _first(engine, self.marker, "1") is not None
        # Alembic's own tables are not data: one stays behind when an upgrade was cut short.
        tables = frozenset(name for name in names if not name.startswith("alembic_"))
        return Facts(tables, revision, has_rows)


def _first(engine: Engine, table: str, column: str) -> str | None:
    # Both names are constants of this module.
    statement = sqlalchemy.text(f"SELECT {column} FROM {table} LIMIT 1")  # noqa: S608
    with engine.connect() as connection:
        found = connection.execute(statement).scalar()
    return None if found is None else str(found)


def _tracking_expected() -> Expected:
    utils = import_module("mlflow.store.db.utils")
    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    return Expected(
        revisions=frozenset(script.revision for script in scripts.walk_revisions()),
        head=utils._get_latest_schema_revision(),
        tables=frozenset(utils.Base.metadata.tables),
        first_tables=frozenset(utils.InitialBase.metadata.tables),
        alone=True,
    )


def _tracking_create(engine: Engine) -> None:
    utils = import_module("mlflow.store.db.utils")
    utils._initialize_tables(engine)


def _tracking_upgrade(engine: Engine) -> None:
    utils = import_module("mlflow.store.db.utils")
    utils._upgrade_db(engine)


def _auth_expected() -> Expected:
    models = import_module("mlflow.server.auth.db.models")
    utils = import_module("mlflow.server.auth.db.utils")
    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    tables = frozenset(models.Base.metadata.tables)
    return Expected(
        revisions=frozenset(script.revision for script in scripts.walk_revisions()),
        head=str(scripts.get_current_head()),
        tables=tables,
        first_tables=frozenset({"users"}),
        alone=False,
    )


def _auth_upgrade(engine: Engine) -> None:
    utils = import_module("mlflow.server.auth.db.utils")
    utils.migrate(engine, "head")


TRACKING = Schema(
    "tracking",
    "alembic_version",
    "experiments",
    _tracking_expected,
    _tracking_create,
    _tracking_upgrade,
)
AUTH = Schema("auth", "alembic_version_auth", "users", _auth_expected, _auth_upgrade, _auth_upgrade)
