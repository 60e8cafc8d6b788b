"""`provision check` without a server: the files that clients open themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from provision.app.layers import ProblemError, Walk
from provision.model import diagnosis
from provision.model.checks import DatabaseState
from provision.model.clients import sqlite_file
from provision.model.endpoint import Endpoint
from provision.model.findings import STORE_LAYERS
from provision.model.report import Finding, Report


class LocalStore(Protocol):
    """What the check needs of this machine's files."""

    def inspect(self, database: Path) -> DatabaseState:
        """Look at a SQLite file without changing it."""
        ...

    def known_revisions(self) -> tuple[str, ...]:
        """The schema revisions of the installed MLflow, the newest last."""
        ...

    def try_folder(self, folder: Path) -> bool:
        """Write, read and delete a file; whether it came back as it was. Raises OSError."""
        ...


def check_local(
    endpoint: Endpoint,
    store: LocalStore,
    clock: Callable[[], float],
    *,
    on_layer: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Look at the database file, then at the artifact folder. `clock` counts seconds.

    Raises UsageError for a tracking URI that is not SQLite's.
    """
    walk = Walk(diagnosis.facts(endpoint), clock, on_layer)
    database_layer, folder_layer = STORE_LAYERS
    walk.visit(database_layer, partial(_database, sqlite_file(endpoint.uri), store))
    if endpoint.artifact_root is not None:
        walk.visit(folder_layer, partial(_folder, endpoint.artifact_root, store))
    return Report(endpoint.uri, tuple(walk.findings))


def _database(database: Path, store: LocalStore) -> str:
    state = store.inspect(database)
    problem = state.problem or diagnosis.of_schema(
        state.revision, store.known_revisions(), state.tables
    )
    if problem:
        observed = f"{database}: {state.detail}"
        raise ProblemError(problem, observed, database=str(database), folder=str(database.parent))
    return f"{database}: {state.detail}"


def _folder(folder: Path, store: LocalStore) -> str:
    try:
        same = store.try_folder(folder)
    except OSError as error:
        observed = f"{folder}: {error.strerror or error}"
        raise ProblemError("artifact-folder.not-writable", observed) from error
    if not same:
        observed = f"{folder}: other bytes came back than were written"
        raise ProblemError("artifact-folder.differs", observed)
    return f"{folder}: written, read back and deleted"
