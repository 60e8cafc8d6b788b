"""What is known of a stack at one moment: the answer of `provision status`.

On the path of `status --offline`, which is to be as fast as Python itself: it imports little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a stack is in its life.

    `FAILED`: it cannot run until someone mends the cause. `UNKNOWN`: nobody looked.
    """

    NEVER_STARTED = "never started"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class StatusResult:
    """A stack now: from its machine, and, while it runs, from the server itself.

    Sizes in bytes, times in seconds. `until` is the last day it is needed (ISO 8601), `place` the
    account of a stack that is not on this machine. `drift` is what Terraform would change, `None`
    where it was not asked; `attention` are findings to see to.
    """

    name: str
    target: str
    state: State
    detail: str
    uri: str | None = None
    mlflow_version: str | None = None
    uptime_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    data_bytes: int = 0
    free_bytes: int = 0
    sizing: str = ""
    until: str | None = None
    server: Mapping[str, Any] | None = None
    place: str = ""
    lifetime: Sequence[str] = ()
    drift: Sequence[str] | None = None
    attention: Sequence[Any] = ()
