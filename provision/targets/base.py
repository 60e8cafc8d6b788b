"""What every rung of the ladder can do: one protocol, so that no use case asks which rung it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from provision.model.endpoint import Endpoint


class State(StrEnum):
    """Where a stack is in its life. `FAILED`: it cannot run until someone mends the cause."""

    NEVER_STARTED = "never started"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class UpOptions:
    """How `up` was asked: a port instead of the spec's, leave to migrate an older database."""

    port: int | None = None
    upgrade_database: bool = False


@dataclass(frozen=True)
class Started:
    """What `up` did: `changed` is False when everything ran already with these settings."""

    endpoint: Endpoint
    changed: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Snapshot:
    """A stack as seen from its own machine: bytes, counts, seconds."""

    state: State
    detail: str
    endpoint: Endpoint | None
    memory: int
    processes: int
    uptime: float
    data_bytes: int
    free_bytes: int
    sizing: str


@dataclass(frozen=True)
class Holding:
    """One thing that `down --delete-data` would delete."""

    what: str
    path: Path
    files: int
    bytes: int


class Progress(Protocol):
    """Tells the user what is going on, without knowing where it is shown."""

    def step(self, text: str, /) -> AbstractContextManager[None]:
        """Show `text` while the body runs."""

    def note(self, text: str, /) -> None:
        """Say something once."""


class Target(Protocol):
    """A rung: something that can bring a server up and take it down again."""

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Bring it up and wait until it accepts requests. Safe to repeat and to interrupt."""

    def down(self, progress: Progress) -> int:
        """Stop it, keep the data; returns how many processes were stopped."""

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` when it was never brought up."""

    def snapshot(self) -> Snapshot:
        """How it is now."""

    def logs(self) -> Mapping[str, Path]:
        """Log files by name, the most useful first."""

    def holdings(self) -> Sequence[Holding]:
        """What deleting its data would delete."""

    def delete_data(self) -> None:
        """Delete the data for good. The caller has asked."""
