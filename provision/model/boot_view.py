"""A boot report for people: what `up` shows while a host boots, and what it says of a failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from provision.model.boot import BootReport, Failure, Phase
from provision.model.durations import spoken

_OVER: Final = ("done", "unchanged", "failed")
_SIGNS: Final = {
    "waiting": "waiting",
    "running": "at work",
    "done": "done",
    "unchanged": "as it was",
    "failed": "FAILED",
}
_NAME_WIDTH: Final = 12


def lines(report: BootReport | None, waited: float) -> list[str]:
    """All of it, one line for each phase that has begun, for a place where lines are replaced.

    `waited`: seconds for which somebody has been looking.
    """
    if report is None:
        return [f"the machine boots: no word from it yet ({spoken(waited)})"]
    begun = [phase for phase in report.phases if phase.state != "waiting"]
    left = len(report.phases) - sum(phase.state in _OVER for phase in report.phases)
    again = f", run {report.run}" if report.run > 1 else ""
    head = f"the server's machine: {_count(left)} of {len(report.phases)} to do{again}"
    return [f"{head} ({spoken(waited)})", *(f"  {line(phase)}" for phase in begun)]


def _count(left: int) -> str:
    return f"{left} phase" if left == 1 else f"{left} phases"


def line(phase: Phase) -> str:
    """One phase: its name, how it is, how long it took, and what it says of itself."""
    seconds = took(phase)
    time = f" in {spoken(seconds)}" if phase.state in _OVER and seconds >= 1 else ""
    told = ", ".join(phase.changed) or phase.detail
    text = f"{phase.name:<{_NAME_WIDTH}} {_SIGNS[phase.state]}{time}"
    return f"{text}: {told}" if told else text


def news(before: BootReport | None, now: BootReport) -> list[str]:
    """The phases that have ended between two looks, for a place where each line stays."""
    known = {} if before is None or before.run != now.run else _states(before)
    ended = [p for p in now.phases if p.state in _OVER and known.get(p.name) != p.state]
    return [line(phase) for phase in ended]


def _states(report: BootReport) -> dict[str, str]:
    return {phase.name: phase.state for phase in report.phases}


def took(phase: Phase) -> float:
    """Seconds between its start and its end; 0 where it has no end."""
    if phase.started_at is None or phase.ended_at is None:
        return 0.0
    try:
        began, ended = (datetime.fromisoformat(t) for t in (phase.started_at, phase.ended_at))
        return max(0.0, (ended - began).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def failed(failure: Failure) -> str:
    """Why a host did not come up: phase, cause, command and its last lines."""
    text = f"the server's machine could not finish its phase {failure.phase!r}: {failure.cause}"
    if failure.command:
        text += f"\n  command: {failure.command}"
    return "\n".join([text, *(f"  | {said}" for said in failure.tail)])


def changes(report: BootReport) -> list[str]:
    """What the report's run made new, each with its phase."""
    return [f"{phase.name}: {what}" for phase in report.phases for what in phase.changed]


def summary(report: BootReport) -> str:
    """The state in a few words, for `status`."""
    if report.state == "failed" and report.failure is not None:
        return f"its phase {report.failure.phase!r} failed: {report.failure.cause}"
    running = [phase for phase in report.phases if phase.state == "running"]
    if report.state == "running":
        now = running[0] if running else None
        what = f"{now.name} ({now.detail or now.title})" if now else "between two phases"
        return f"at work on {what}"
    return "ready"


def transcript(report: BootReport, log: Sequence[str]) -> list[str]:
    """The whole report, then the last lines of its log: what `provision logs boot` shows."""
    head = f"run {report.run} on {report.instance}: {report.state}, as of {report.updated_at}"
    text = [head, *(f"  {line(phase)}" for phase in report.phases)]
    if report.failure is not None:
        text += [*failed(report.failure).splitlines(), f"next step: {report.failure.next_step}"]
    return [*text, "", *log] if log else text
