"""`pause` and `resume`: a server switched off for a while, and back at the same address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provision.app.lifecycle import UpResult, proven
from provision.errors import UsageError
from provision.model.endpoint import Endpoint
from provision.model.report import Report
from provision.targets.base import Power, Progress, Target


@dataclass(frozen=True)
class PauseResult:
    """What was paused, and what there is to know about it."""

    name: str
    uri: str
    notes: Sequence[str]


def pause(target: Target, name: str, progress: Progress) -> PauseResult:
    """Switch it off until `resume`, whatever the office hours say."""
    endpoint = target.endpoint()
    paused = _power_of(target, name).pause(progress)
    return PauseResult(name, endpoint.uri if endpoint else "", paused.notes)


def resume(
    target: Target,
    name: str,
    check: Callable[[Endpoint], Report],
    progress: Progress,
    *,
    paste: Callable[[Endpoint], str],
) -> UpResult:
    """Switch it on and prove that a client can use it; raises as `lifecycle.up` does."""
    started = _power_of(target, name).resume(progress)
    return proven(started, check, progress, paste=paste)


def _power_of(target: Target, name: str) -> Power:
    power = target.power()
    if power is None:
        raise UsageError(
            f"{name} is on this machine, where nothing costs anything by the hour",
            next_step="provision down stops it and keeps the data; provision up brings it back",
        )
    return power
