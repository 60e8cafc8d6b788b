"""The data of a Compose stack, reached from this machine: for archive, restore, move and gc.

Database and object store listen on ports of this machine, so what copies stacks elsewhere copies
this one too; no program of ours runs inside for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from provision.adapters import postgres, workspace
from provision.adapters.containers import Project
from provision.model import compose
from provision.model.layout import Layout
from provision.server.places import Place
from provision.targets.base import Progress
from provision.targets.local_settings import ADMIN
from provision.targets.record import StackRecord

_NEEDED: Final = ("database", "store")


@contextmanager
def opened(
    record: StackRecord, layout: Layout, project: Project, progress: Progress
) -> Iterator[Place]:
    """Where the data is; a database and a store that are stopped run while the block does."""
    ran = {c.service for c in project.containers() if c.state == "running"}
    started = [name for name in _NEEDED if name not in ran]
    if started:
        with progress.step("starting the containers of database and store"):
            project.start(*_NEEDED)
    try:
        project.once("server", "python", "-P", "-m", "provision.server.container", "bucket")
        yield _place(record, layout, project)
    finally:
        if not ran:
            project.remove()
        elif started:
            project.stop(*started)


def _place(record: StackRecord, layout: Layout, project: Project) -> Place:
    url = postgres.connection_url(project.port("database", compose.DATABASE_PORT), layout.pgpass)
    has_auth = record.auth == "basic"
    return Place(
        name=record.name,
        database_url=url,
        artifacts=f"s3://{compose.BUCKET}/artifacts",
        users_url=url if has_auth else None,
        admin=ADMIN if has_auth else "",
        admin_password_file=str(layout.admin_password) if has_auth else "",
        region=compose.REGION,
        environment=_environment(layout, project),
    )


def _environment(layout: Layout, project: Project) -> dict[str, str]:
    """The store's address, and the file that holds its key."""
    key, secret = (
        workspace.read_secret(layout.secrets / name)
        for name in ("store-access-key", "store-secret-key")
    )
    file = layout.secrets / "store-credentials"
    lines = ("[default]", f"aws_access_key_id={key.reveal()}",
             f"aws_secret_access_key={secret.reveal()}")  # fmt: skip
    workspace.write_text(file, "\n".join(lines) + "\n")
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_DEFAULT_REGION": compose.REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{project.port('store', compose.STORE_PORT)}",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
