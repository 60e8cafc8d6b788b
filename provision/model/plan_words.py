"""A plan in words: what it means for experiments and clients first, the rest in short lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from provision.model.plan import Action, Change, Plan
from provision.model.resources import ADDRESS, AREAS, BUCKET, DATABASE, MACHINE, noun, place, title

_RUNS: Final = "all experiments, runs and registered models in it would be lost"
_FILES: Final = "all models, plots and other artifacts in it would be lost"
_AWAY: Final = "for some minutes nobody reaches it"
_CONSEQUENCES: Final = {
    (DATABASE, Action.REPLACE): f"the database would be replaced: {_RUNS}",
    (DATABASE, Action.DESTROY): f"the database would be destroyed: {_RUNS}",
    (BUCKET, Action.REPLACE): f"the artifact bucket would be replaced: {_FILES}",
    (BUCKET, Action.DESTROY): f"the artifact bucket would be destroyed: {_FILES}",
    (MACHINE, Action.REPLACE): f"the server would move to a new machine: {_AWAY}; experiments and "
    "artifacts stay",
    (MACHINE, Action.DESTROY): "the server would be destroyed: nobody could log any more",
    (ADDRESS, Action.REPLACE): "the server's address would change: every client needs a new "
    "tracking URI",
    (ADDRESS, Action.DESTROY): "the server's address would be given back: it cannot be had again",
    ("aws_vpc", Action.REPLACE): "the network would be replaced, with everything that is in it",
}
_VANISHED: Final = {
    DATABASE: "the database is gone, removed by somebody else: a new and empty one would be made",
    BUCKET: "the artifact bucket is gone, removed by somebody else: a new and empty one would be "
    "made",
    MACHINE: "the server's machine is gone, removed by somebody else: a new one would be made",
    ADDRESS: "the server's address is gone, removed by somebody else: every client needs a new "
    "tracking URI",
}
# (type, attributes, what their change means): the provider stops the machine to change these.
_IN_PLACE: Final = (
    (MACHINE, ("instance_type", "user_data"), f"the server would stop and start again: {_AWAY}"),
    (
        DATABASE,
        ("instance_class", "engine_version", "parameter_group_name"),
        "the database would restart: for some minutes the server cannot answer",
    ),
    (DATABASE, ("engine_version",), "PostgreSQL would be upgraded, which cannot be undone"),
)


@dataclass(frozen=True)
class PlanWords:
    """`headline` in one line; `sentences` are what a person should read before saying yes; `lines`
    list everything, grouped by action and part of the stack."""

    headline: str
    sentences: tuple[str, ...]
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((self.headline, *self.sentences, *self.lines))


def words(plan: Plan) -> PlanWords:
    """The plan in words. Nothing secret is in it: see `Plan`."""
    return PlanWords(
        _headline(plan), tuple(_sentences(plan)), (*_grouped(plan), *_single(plan), *_drift(plan))
    )


def _headline(plan: Plan) -> str:
    if plan.changes:
        return ", ".join(f"{count} to {action}" for action, count in plan.counts.items())
    return "only what is recorded would change" if plan.outputs else "nothing to change"


def _sentences(plan: Plan) -> Iterator[str]:
    found = (sentence for change in plan.changes for sentence in _about(change))
    yield from dict.fromkeys(sentence[:1].upper() + sentence[1:] + "." for sentence in found)
    taken = plan.counts.get(Action.ADOPT, 0)
    if taken:
        what = "one resource" if taken == 1 else f"{taken} resources"
        yield f"An interrupted run left {what}: the stack takes over what is there."


def _about(change: Change) -> Iterator[str]:
    if change.vanished and change.type in _VANISHED:
        yield _VANISHED[change.type]
    consequence = _CONSEQUENCES.get((change.type, change.action), "")
    if consequence and change.keeps:
        consequence += f", but for the snapshot {change.keeps}"
    if consequence:
        yield consequence
    if change.action in (Action.UPDATE, Action.ADOPT):
        yield from _about_update(change)


def _about_update(change: Change) -> Iterator[str]:
    for type_, attributes, meaning in _IN_PLACE:
        if change.type == type_ and change.changes(*attributes):
            yield meaning
    lock = change.changes("deletion_protection")
    if change.type == DATABASE and lock and lock.after == "false":
        yield "the lock against deletion would be taken off the database"
    days = change.changes("backup_retention_period")
    if change.type == DATABASE and days and _is_less(days.before, days.after):
        yield f"backups of the database older than {days.after} days would be deleted"


def _is_less(before: str, after: str) -> bool:
    return before.isdigit() and after.isdigit() and int(after) < int(before)


def _grouped(plan: Plan) -> Iterator[str]:
    """One line for each action and area in which many resources come or go alike."""
    for action in (Action.DESTROY, Action.CREATE, Action.ADOPT):
        for area in AREAS:
            chosen = [c for c in plan.changes if c.action is action and not _told_alone(c)]
            inside = [c for c in chosen if place(c.address).area == area]
            if inside:
                yield f"{action:<8} {area:<10} {_enumerated(inside)}"


def _enumerated(changes: list[Change]) -> str:
    """Resources of a type are counted; one alone, and each network that comes in, is named."""
    counts = Counter(change.type for change in changes)
    found = []
    for change in changes:
        key, count = place(change.address).key, counts[change.type]
        alone = bool(key) and (count == 1 or "/" in key)
        found.append(title(change.address) if alone else _counted(change.type, count))
    return ", ".join(dict.fromkeys(found))


def _counted(type_: str, count: int) -> str:
    return noun(type_) if count == 1 else f"{count} {noun(type_, count)}"


def _told_alone(change: Change) -> bool:
    return change.action in (Action.UPDATE, Action.REPLACE) or bool(change.differences)


def _single(plan: Plan) -> Iterator[str]:
    """One line for each resource that changes, with what changes in it."""
    for action in (Action.REPLACE, Action.UPDATE, Action.ADOPT):
        for change in plan.changes:
            if change.action is action and _told_alone(change):
                why = f" ({'; '.join(change.why)})" if change.why else ""
                area = place(change.address).area
                yield f"{action:<8} {area:<10} {title(change.address)}{why}"


def _drift(plan: Plan) -> Iterator[str]:
    """What somebody else did since the last run, and what this plan undoes."""
    for drift in plan.drift:
        what = "; ".join(drift.what) if drift.what else "removed"
        yield f"{'undo':<8} {place(drift.address).area:<10} {title(drift.address)} ({what})"
