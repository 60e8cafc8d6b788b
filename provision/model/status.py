"""What is known of a stack at one moment: the answer of `provision status`.

On the path of `status --offline`, which is to be as fast as Python itself: it imports little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class Cost:
    """What a stack in an account has cost, in US dollars.

    `month` is a month at list price, as the spec stood at the last `up`; `spent` follows from it,
    for the days since `since` (ISO 8601), today included, as if it had never been paused. `budget`
    is what a month may cost, and `month_spent` what AWS counted of it in this one; `None` where
    AWS was not asked or, as `unknown` says, did not tell.
    """

    since: str
    month: float | None
    spent: float | None = None
    budget: int | None = None
    month_spent: float | None = None
    unknown: str = ""
    emulated: bool = False


@dataclass(frozen=True)
class Backup:
    """The last one: when it was made (ISO 8601 in UTC, "" for none), and what it is, in words."""

    at: str
    what: str


@dataclass(frozen=True)
class Security:
    """What the last audit found, by severity, and when it was (ISO 8601 in UTC, "" for never).

    `passed` is the audit's own word. `holes` says what the table of known holes has on the version.
    """

    at: str = ""
    passed: bool = True
    severities: Mapping[str, int] = field(default_factory=dict)
    holes: str = ""


@dataclass(frozen=True)
class StatusResult:
    """A stack now: from its machine, and, while it runs, from the server itself.

    Sizes in bytes, times in seconds. `until` is the last day it is needed (ISO 8601), `place` the
    account of a stack that is not on this machine. `drift` is what Terraform would change, `None`
    where it was not asked; `half_asleep`: its machine is off and its database is not. `cost`,
    `backup` and `security` are `None` where nothing is known of them; `attention` are findings to
    see to.
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
    half_asleep: bool = False
    cost: Cost | None = None
    backup: Backup | None = None
    security: Security | None = None
    attention: Sequence[Any] = ()
