"""`provision unlock`: who holds the lock of a stack's state, and its removal when he is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from provision.errors import RefusedError
from provision.model.units import format_duration
from provision.targets.base import Held, Progress, Target


@dataclass(frozen=True)
class Holder:
    """Who took a lock (`user@host`), for which operation, and since when.

    `since` is RFC 3339 in UTC, `age_seconds` its distance from now (`None` where it tells no time).
    `lives`: whether that process still runs; `None` where that cannot be seen from here.
    """

    id: str
    who: str
    operation: str
    since: str
    age_seconds: int | None
    lives: bool | None
    place: str


@dataclass(frozen=True)
class UnlockResult:
    """What `unlock` found and did; without a `holder` there was nothing to remove."""

    name: str
    removed: bool
    detail: str
    holder: Holder | None = None


def unlock(
    target: Target,
    name: str,
    *,
    confirm: Callable[[Holder], None],
    progress: Progress,
    now: datetime,
) -> UnlockResult:
    """Remove the lock that a killed command left, once `confirm` has returned.

    Raises `RefusedError` while the process that took it lives.
    """
    state_lock = target.state_lock()
    if state_lock is None:
        return UnlockResult(name, False, "it runs on this machine and has no state lock")
    held = state_lock.holder()
    if held is None:
        return UnlockResult(name, False, "nothing is locked")
    holder = _holder(held, now)
    if held.lives:
        raise RefusedError(
            f"{name} is locked by {said(holder)}; that process still runs; nothing was changed",
            next_step="wait until that command has ended, or stop it with Ctrl-C",
        )
    confirm(holder)
    state_lock.remove(held, progress)
    return UnlockResult(name, True, f"the lock of {holder.who or 'somebody'} is removed", holder)


def said(holder: Holder) -> str:
    """A holder in one line: who, what, since when."""
    since = f" since {holder.since}" if holder.since else ""
    age = "" if holder.age_seconds is None else f", for {format_duration(holder.age_seconds)}"
    return f"{holder.who or 'somebody'} ({holder.operation or 'at work'}{since}{age})"


def _holder(held: Held, now: datetime) -> Holder:
    lock, age = held.lock, held.lock.age(now)
    # Clocks of two machines differ: a lock from the future is a new one.
    seconds = None if age is None else max(0, int(age))
    return Holder(lock.id, lock.who, lock.operation, lock.created, seconds, held.lives, held.place)
