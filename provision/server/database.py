"""The backend store before it is served: wait for it, know its schema, create or upgrade it."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy import URL, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from provision.server import locations, postgres_dialect, postgres_dump, sqlite_file
from provision.server.boot_report import now
from provision.server.failures import BootError, code_for, first_line
from provision.server.schemas import AUTH, TRACKING, Schema, State
from provision.server.settings import ServerSettings

_log = logging.getLogger("provision.server")

_WAIT_SECONDS = 60.0
_CONNECT_SECONDS = 5
_TURN = 0x70726F76
"""The advisory lock of whoever creates or upgrades tables: the letters "prov"."""

# A server that answers with one of these will answer the same in a minute (libpq's words).
_HOPELESS = ("password authentication failed", "no password supplied", "does not exist")


def prepare(settings: ServerSettings) -> None:
    """Leave a database that this MLflow can use; raises BootError with what to do otherwise.

    Needs MLflow to be imported, as its migrations define what an older or a newer schema is.
    """
    if not settings.is_sqlite:
        postgres_dialect.install()
    _prepare_one(settings, settings.database_url, TRACKING)
    if settings.auth:
        _prepare_one(settings, settings.auth.database_url, AUTH)
    if settings.local_artifact_root and settings.is_sqlite:
        with explained(settings, settings.database_url):
            _serve_locations(settings)


def _prepare_one(settings: ServerSettings, url: str, schema: Schema) -> None:
    with explained(settings, url):
        if url.startswith("sqlite:"):
            path = sqlite_file.path_of(url)
            path.parent.mkdir(parents=True, exist_ok=True)
            sqlite_file.check(path, Path(settings.backup_dir))
        engine = probe_engine(url)
        _wait(engine)
        with _taking_turns(engine):
            _bring_up(settings, engine, schema)
        if url.startswith("sqlite:") and sqlite_file.path_of(url).exists():
            sqlite_file.enable_wal(sqlite_file.path_of(url))


@contextmanager
def _taking_turns(engine: Engine) -> Iterator[None]:
    # Two machines on one database may start at once; the lock ends with the connection.
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_TURN})"))
        yield


def probe_engine(url: str) -> Engine:
    """An engine that keeps no connection and does not wait long for one."""
    arguments: dict[str, int] = {}
    if not url.startswith("sqlite:"):
        arguments["connect_timeout"] = _CONNECT_SECONDS
    return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=arguments)


@contextmanager
def explained(settings: ServerSettings, url: str) -> Iterator[None]:
    """Turn what drivers and the file system raise into a BootError; the log keeps the original."""
    try:
        yield
    except BootError:
        raise
    except Exception as error:
        _log.exception("preparing the database failed")
        raise _explain(settings, url, error) from error


def _explain(settings: ServerSettings, url: str, error: Exception) -> BootError:
    place = _shown(make_url(url))
    reason = first_line(error)
    code = code_for(error)
    if code == "database-damaged" and url.startswith("sqlite:"):
        path = sqlite_file.path_of(url)
        return sqlite_file.damaged(path, Path(settings.backup_dir), reason)
    step, temporary = _STEPS.get(code or "", ("look at `provision logs`", False))
    what = code or "database-failed"
    return BootError(what, f"the database {place}: {reason}", next_step=step, temporary=temporary)


_STEPS = {
    "disk-full": ("free space on that disk; then `provision up`", True),
    "database-locked": ("end the program that has the file open; then `provision up`", True),
    "not-writable": (
        "give this user the right to write there, or choose another folder; then `provision up`",
        False,
    ),
    "database-damaged": ("restore a backup; then `provision up`", False),
}


def _wait(engine: Engine) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with engine.connect():
                return
        except sqlalchemy.exc.OperationalError as error:
            if engine.dialect.name == "sqlite":
                raise
            reason = first_line(error)
            hopeless = any(words in str(error) for words in _HOPELESS)
            if hopeless or time.monotonic() > deadline:
                raise _unreachable(engine, reason, temporary=not hopeless) from error
        time.sleep(0.2)


def _unreachable(engine: Engine, reason: str, *, temporary: bool) -> BootError:
    place = _shown(engine.url)
    return BootError(
        "database-unreachable",
        f"the database {place} cannot be reached: {reason}",
        next_step="start that database or correct its address and password file; "
        "then `provision up`",
        temporary=temporary,
    )


def _bring_up(settings: ServerSettings, engine: Engine, schema: Schema) -> None:
    state, revision = schema.state(engine)
    if state is State.EMPTY:
        initialise(engine, schema)
    elif state is State.OLDER:
        _upgrade(settings, engine, schema, revision)
    elif state is not State.CURRENT:
        raise _unusable(settings, engine, schema, state, revision)


def initialise(engine: Engine, schema: Schema) -> None:
    """Make the tables of a schema where there are none; a SQLite file appears when it is whole."""
    if engine.dialect.name != "sqlite" or sqlalchemy.inspect(engine).get_table_names():
        # PostgreSQL's DDL is transactional: a crash leaves nothing that the next start cannot use.
        schema.create(engine)
        return
    path = Path(engine.url.database or "")
    part = path.with_name(path.name + ".new")
    for leftover in (part, part.with_name(part.name + "-journal")):
        leftover.unlink(missing_ok=True)
    fresh = probe_engine(f"sqlite:///{part}")
    # Nothing is lost when this file is half written, so it need not reach the disk at each step.
    sqlalchemy.event.listen(fresh, "connect", _write_carelessly)
    schema.create(fresh)
    fresh.dispose()
    sqlite_file.publish(part, path)


def _write_carelessly(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _upgrade(
    settings: ServerSettings, engine: Engine, schema: Schema, revision: str | None
) -> None:
    if not settings.upgrade_database:
        raise _older(engine, schema, revision)
    backup = _back_up(settings, engine)
    _log.info("the %s schema is upgraded; the database as it was: %s", schema.name, backup)
    try:
        schema.upgrade(engine)
    except Exception as error:
        _log.exception("the upgrade failed")
        if engine.dialect.name == "sqlite":
            # PostgreSQL has rolled back by itself.
            sqlite_file.copy(Path(backup), Path(engine.url.database or ""))
        raise BootError(
            "upgrade-failed",
            f"the {schema.name} schema could not be upgraded: {first_line(error)}; the database "
            "is as it was before",
            next_step=f"look at `provision logs`; the database as it was: {backup}",
        ) from error


def _back_up(settings: ServerSettings, engine: Engine) -> str:
    folder = Path(settings.backup_dir)
    if engine.dialect.name == "sqlite":
        return str(sqlite_file.back_up(Path(engine.url.database or ""), folder, "before-upgrade"))
    if settings.backed_up_elsewhere:
        return f"the database service's backup of {now()}"
    return str(postgres_dump.dump(settings.pg_dump, engine.url, folder, "before-upgrade"))


def _older(engine: Engine, schema: Schema, revision: str | None) -> BootError:
    return BootError(
        "database-older",
        f"the {schema.name} schema in {_place(engine)} is from an older MLflow (revision "
        f"{revision or 'none'}; this one needs {schema.head()})",
        next_step="`provision up --upgrade-database`, which makes a backup first",
    )


def _place(engine: Engine) -> str:
    return _shown(engine.url)


def _shown(url: URL) -> str:
    """Which database it is, without the many words on how to connect."""
    return url.set(query={}).render_as_string(hide_password=True)


def _unusable(
    settings: ServerSettings, engine: Engine, schema: Schema, state: State, revision: str | None
) -> BootError:
    import mlflow  # noqa: PLC0415  (imported by now; only its version is wanted)

    if state is State.NEWER:
        return BootError(
            "database-newer",
            f"the {schema.name} schema in {_place(engine)} is from a newer MLflow: revision "
            f"{revision} is unknown to MLflow {mlflow.__version__}",
            next_step="install the version of this kit that wrote it (see `provision version` "
            f"there), or restore a backup from {settings.backup_dir}",
        )
    if state is State.FOREIGN:
        return BootError(
            "database-foreign",
            f"{_place(engine)} holds tables of another program and none of MLflow's",
            next_step="name an empty database in the spec; then `provision up`",
        )
    return BootError(
        "database-damaged",
        f"tables of the {schema.name} schema are missing in {_place(engine)}",
        next_step=f"restore a backup from {settings.backup_dir}; then `provision up`",
    )


def _serve_locations(settings: ServerSettings) -> None:
    path = sqlite_file.path_of(settings.database_url)
    root = Path(settings.local_artifact_root or "")
    with closing(sqlite3.connect(path)) as connection:
        if not locations.count_local(connection, root):
            return
        backup = sqlite_file.back_up(path, Path(settings.backup_dir), "before-serving")
        changed = locations.to_served(connection, root, settings.served_prefix)
    _log.info("%d artifact locations are served from now on; before: %s", changed, backup)
