"""What an apply shows while it runs: a fold of Terraform's events over the plan, and its lines.

Pure: the clock's readings (seconds, from any start) come in with each step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from provision.model.durations import spoken, typical
from provision.model.plan import Action, Change, Plan
from provision.model.resources import place, title

_PHASES: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.CREATE: ("create",),
    Action.UPDATE: ("update",),
    Action.REPLACE: ("delete", "create"),
    Action.DESTROY: ("delete",),
}
_DOING: Final = {"create": "making", "update": "changing", "delete": "removing"}
_DONE: Final = {"create": "made", "update": "changed", "delete": "removed"}
# Nothing is as good as done before Terraform says so.
_NEARLY: Final = 0.95
_NEARLY_ALL: Final = 0.99


class SeenEvent(Protocol):
    """The part of Terraform's events that is looked at here."""

    @property
    def kind(self) -> str:
        """What happens: started, progress, done, failed; others are left alone."""

    @property
    def address(self) -> str:
        """Of the resource."""

    @property
    def action(self) -> str:
        """What is done to it: create, update, delete; others are left alone."""

    @property
    def elapsed(self) -> float:
        """Seconds since the action's start."""


class RowState(StrEnum):
    """How far one action is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """One action on one resource: a replacement has two. Seconds throughout."""

    address: str
    action: str
    typical: float
    state: RowState = RowState.WAITING
    elapsed: float = 0.0
    started: float = 0.0

    @property
    def is_over(self) -> bool:
        """True when nothing more comes of it."""
        return self.state in (RowState.DONE, RowState.FAILED)

    @property
    def remaining(self) -> float | None:
        """What it usually takes from here; None where it takes longer than usual already."""
        if self.is_over:
            return 0.0
        return self.typical - self.elapsed if self.elapsed < self.typical else None

    @property
    def fraction(self) -> float:
        """How much of it is done, from 0 to 1; 1 only when it is."""
        if self.state is RowState.DONE:
            return 1.0
        return min(self.elapsed / self.typical, _NEARLY) if self.typical else 0.0


@dataclass(frozen=True)
class LiveView:
    """An apply at one moment. Use `fraction`; `reached` is what keeps it from going back."""

    rows: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    emulated: bool = False
    reached: float = 0.0

    @classmethod
    def of(cls, plan: Plan, *, emulated: bool = False) -> LiveView:
        """The view before the first event. What is only adopted takes no time and has no row."""
        rows = {
            (change.address, action): _row(change.address, action, emulated)
            for change in plan.changes
            for action in _phases(change)
        }
        return cls(rows, emulated)

    def seen(self, event: SeenEvent, now: float) -> LiveView:
        """The view after `event`. Events of other kinds and actions leave it as it is."""
        if event.action not in _DOING or event.kind not in _STATES:
            return self
        key = (event.address, event.action)
        row = self.rows.get(key) or _row(*key, self.emulated)
        after = _after(row, event, now)
        return self._with({**self.rows, key: after})

    def at(self, now: float) -> LiveView:
        """The view at a later moment, although nothing was heard: what runs gets older."""
        rows = {
            key: replace(row, elapsed=max(row.elapsed, _finite(now - row.started)))
            if row.state is RowState.RUNNING
            else row
            for key, row in self.rows.items()
        }
        return self._with(rows)

    def _with(self, rows: Mapping[tuple[str, str], Row]) -> LiveView:
        return LiveView(rows, self.emulated, max(self.reached, _fraction(rows)))

    @property
    def fraction(self) -> float:
        """How much of the work is done, by its usual time; 1 when, and only when, all of it is.

        It does not go back, unless something turns up after all was done.
        """
        return 1.0 if self.done == len(self.rows) else min(self.reached, _NEARLY_ALL)

    @property
    def done(self) -> int:
        """How many actions have ended well."""
        return sum(row.state is RowState.DONE for row in self.rows.values())

    @property
    def remaining(self) -> float | None:
        """Seconds that are left at least: those of the longest action; None where nobody knows."""
        left = [row.remaining for row in self.rows.values() if not row.is_over]
        known = [seconds for seconds in left if seconds is not None]
        return max(known, default=None) if left else 0.0

    @property
    def running(self) -> tuple[Row, ...]:
        """What runs now, the one that others wait for longest first."""
        found = [row for row in self.rows.values() if row.state is RowState.RUNNING]
        return tuple(sorted(found, key=_weight, reverse=True))

    @property
    def failed(self) -> tuple[Row, ...]:
        """What has failed."""
        return tuple(row for row in self.rows.values() if row.state is RowState.FAILED)

    @property
    def slowest(self) -> Row | None:
        """The running action that decides when all of it ends."""
        return self.running[0] if self.running else None


_STATES: Final = {
    "started": RowState.RUNNING,
    "progress": RowState.RUNNING,
    "done": RowState.DONE,
    "failed": RowState.FAILED,
}


def _phases(change: Change) -> tuple[str, ...]:
    if change.action is Action.ADOPT:
        return ("update",) if change.differences else ()
    return _PHASES[change.action]


def _row(address: str, action: str, emulated: bool) -> Row:
    usual = typical(place(address).type, action, emulated=emulated)
    return Row(address, action, usual.seconds)


def _after(row: Row, event: SeenEvent, now: float) -> Row:
    if row.is_over and event.kind == "progress":  # two threads wrote: the end counts
        return row
    elapsed, state = _finite(event.elapsed), _STATES[event.kind]
    fresh = row.state is not RowState.RUNNING
    started = now - elapsed if fresh else row.started
    kept = elapsed if fresh else max(elapsed, row.elapsed)
    return replace(row, state=state, elapsed=kept, started=started)


def _finite(seconds: float) -> float:
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _fraction(rows: Mapping[tuple[str, str], Row]) -> float:
    whole = sum(row.typical for row in rows.values())
    done = sum(row.fraction * row.typical for row in rows.values())
    return done / whole if whole else 0.0


def _weight(row: Row) -> tuple[bool, float]:
    """What takes longer than usual comes first: nobody knows when it ends."""
    return row.remaining is None, row.elapsed if row.remaining is None else row.remaining


def render_lines(view: LiveView, most: int = 8) -> list[str]:
    """The view as lines for a terminal: a summary, what failed, and at most `most` that run."""
    shown = view.running[:most]
    lines = [_summary(view), *(f"  {finished(row)}" for row in view.failed)]
    lines += map(_line, shown)
    more = len(view.running) - len(shown)
    return [*lines, f"  and {more} more"] if more else lines


def _summary(view: LiveView) -> str:
    text = f"{view.done} of {len(view.rows)} done ({math.floor(view.fraction * 100)} %)"
    return ", ".join((text, *_outlook(view)))


def _outlook(view: LiveView) -> Iterator[str]:
    left, slowest = view.remaining, view.slowest
    if left:
        yield f"about {spoken(left, exact=False)} left"
    if slowest is not None:
        yield f"waiting for {title(slowest.address)}"


def _line(row: Row) -> str:
    left = row.remaining
    outlook = "longer than usual" if left is None else f"about {spoken(left, exact=False)} left"
    if left is None:
        outlook += f" ({spoken(row.typical, exact=False)})"
    return (
        f"  {_DOING[row.action]:<8} {title(row.address):<32} {spoken(row.elapsed):>11}, {outlook}"
    )


def finished(row: Row) -> str:
    """One line about an action that has ended, for places that show each line once."""
    if row.state is RowState.FAILED:
        return f"failed {_DOING[row.action]} {title(row.address)} after {spoken(row.elapsed)}"
    return f"{_DONE[row.action]} {title(row.address)} in {spoken(row.elapsed)}"
