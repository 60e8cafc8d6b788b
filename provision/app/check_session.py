"""What one check knows of a server, and what it has created there so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from provision.app.tracking_server import TrackingServer
from provision.model.endpoint import Endpoint
from provision.model.tracking import Answer, RunRecord

NAME: Final = "provision-check-"
"""How the names of all begin that a check creates."""


@dataclass
class Session:
    """The server as its client, and as a stranger with neither name nor password (`strange`)."""

    endpoint: Endpoint
    server: TrackingServer
    strange: Callable[[], TrackingServer]
    client_version: str | None
    name: str
    large: int = 0
    addresses: tuple[str, ...] = ()
    answer: Answer = field(default_factory=lambda: Answer(0, {}, b""))
    experiment_id: str = ""
    run: RunRecord = field(default_factory=lambda: RunRecord("", ""))
    content: bytes = b""
    version: str = ""
    undo: list[tuple[str, Callable[[], None]]] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The run's folder, relative to the served artifact root."""
        return self.run.artifact_uri.partition(":")[2].strip("/")


Step = Callable[[Session], str]
