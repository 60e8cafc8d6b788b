"""The data of a Compose stack, reached from this machine: for archive, restore, move and gc."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provision.adapters.containers import Project
from provision.errors import MissingError
from provision.model.layout import Layout
from provision.server.places import Place
from provision.targets.base import Progress
from provision.targets.compose_folder import project
from provision.targets.record import StackRecord


@contextmanager
def opened(
    record: StackRecord, layout: Layout, compose_project: Project, progress: Progress
) -> Iterator[Place]:
    """Where the data is; a database and a store that are stopped run while the block does."""
    del compose_project, progress
    raise MissingError(
        f"this version of provision cannot copy the data of a Compose stack ({record.name})",
        next_step="its volumes hold it: docker volume ls --filter "
        f"label=com.docker.compose.project={project(layout)}",
    )
    yield
