"""The data of a local stack while nothing is started or stopped: where it is, and readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from provision.adapters import postgres, processes
from provision.errors import MissingError
from provision.model.clients import sqlite_uri
from provision.model.layout import Layout
from provision.server.places import Place
from provision.targets import supervision
from provision.targets.base import Progress
from provision.targets.local_settings import ADMIN
from provision.targets.record import StackRecord


@contextmanager
def opened(
    record: StackRecord, layout: Layout, environment: Mapping[str, str], progress: Progress
) -> Iterator[Place]:
    """Where the data is; with PostgreSQL, a stopped one runs while the block does."""
    if record.engine == "sqlite":
        yield _place(record, layout, sqlite_uri(layout.sqlite_file))
        return
    place = _place(record, layout, postgres.connection_url(record.database_port, layout.pgpass))
    if processes.supervisor_of(layout.root) is not None:
        yield place
        return
    # A killed command may have left its own behind, which would keep ours from starting.
    processes.stop_stack(layout.root, supervision.STOP_PATIENCE_SECONDS)
    if not layout.cluster.exists():
        raise MissingError(f"{layout.cluster} is gone", next_step="provision up makes a new one")
    with _database(layout, environment, progress):
        yield place


@contextmanager
def _database(layout: Layout, environment: Mapping[str, str], progress: Progress) -> Iterator[None]:
    progress.note("PostgreSQL runs while its data is read")
    with postgres.running(
        postgres.find_binaries(layout.cluster),
        layout.cluster,
        postgres.account_for(layout.data),
        log=layout.logs / "database.log",
        environment={**environment, processes.MARK: str(layout.root)},
    ):
        yield


def _place(record: StackRecord, layout: Layout, url: str) -> Place:
    has_auth = record.auth == "basic"
    users = url if record.engine == "postgres" else sqlite_uri(layout.auth_sqlite_file)
    return Place(
        name=record.name,
        database_url=url,
        artifacts=record.artifacts,
        users_url=users if has_auth else None,
        admin=ADMIN if has_auth else "",
        admin_password_file=str(layout.admin_password) if has_auth else "",
    )
