"""What Terraform would do, as a value: read from `terraform show -json` of a saved plan.

The JSON holds sensitive values in clear (the variables above all). Only what is named here is
taken out of it, and nothing that Terraform marks as sensitive.
https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from provision.errors import ProvisionError
from provision.model.complaints import printable
from provision.model.differences import Difference, differences, dotted
from provision.model.resources import place


class Action(StrEnum):
    """What is done to one resource. `ADOPT` takes over one that exists, perhaps changing it."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    ADOPT = "adopt"


_ACTIONS: Final = {
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete",): Action.DESTROY,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
}
_LONGEST: Final = 500  # of an address, which nobody writes by hand
_NOTHING: Final = (("no-op",), ("read",))
_REASONS: Final = {
    "replace_because_tainted": "an interrupted or failed run left it unfinished",
    "replace_by_request": "asked for",
    "replace_by_triggers": "what it follows is replaced",
    "delete_because_no_resource_config": "no longer part of this stack",
    "delete_because_wrong_repetition": "no longer part of this stack",
    "delete_because_count_index": "no longer asked for",
    "delete_because_each_key": "no longer asked for",
    "delete_because_no_module": "no longer part of this stack",
}


@dataclass(frozen=True)
class Change:
    """One resource that would change.

    `why` are short lines to show. `locked` is a database that AWS refuses to delete; `keeps` the
    name of the snapshot that its end leaves; `vanished` says that somebody else removed the
    resource since the last run, so that a new one would take its place.
    """

    address: str
    type: str
    name: str
    action: Action
    why: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    locked: bool = False
    keeps: str = ""
    vanished: bool = False

    def changes(self, *paths: str) -> Difference | None:
        """The first difference at one of the attributes `paths`."""
        return next((d for d in self.differences if d.path in paths), None)


@dataclass(frozen=True)
class Drift:
    """A resource that somebody else changed or removed, as far as this plan puts it back."""

    address: str
    removed: bool
    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All changes in the order of Terraform's plan; `outputs` are the names of changed outputs."""

    changes: tuple[Change, ...] = ()
    drift: tuple[Drift, ...] = ()
    outputs: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: object) -> Plan:
        """The plan in what `terraform show -json FILE` printed.

        Raises ProvisionError where it is not a plan of format 1, where planning failed, and where
        it holds an action that this version does not know: nothing is applied unread.
        """
        plan = _document(document)
        entries = [e for e in _entries(plan, "resource_changes") if e.get("mode") == "managed"]
        drifted = {_text(entry, "address"): entry for entry in _entries(plan, "resource_drift")}
        changes = tuple(filter(None, (_change(entry, drifted) for entry in entries)))
        drift = tuple(_drift(entries, changes, drifted))
        outputs = _mapping(plan.get("output_changes")).items()
        changed = (name for name, change in outputs if _actions(_mapping(change)) != ("no-op",))
        return cls(changes, drift, tuple(changed))

    @classmethod
    def creating(cls, addresses: Iterable[str]) -> Plan:
        """A plan that makes these and touches nothing else, as the events of planning tell it."""
        places = [(address, place(address)) for address in addresses]
        return cls(tuple(Change(a, p.type, p.name, Action.CREATE) for a, p in places))

    @property
    def is_empty(self) -> bool:
        """True when applying it would do nothing, not even to the recorded outputs."""
        return not self.changes and not self.outputs

    @property
    def counts(self) -> dict[Action, int]:
        """How many resources each action would touch; actions without any are left out."""
        found = Counter(change.action for change in self.changes)
        return {action: found[action] for action in Action if found[action]}


def _document(document: object) -> Mapping[str, Any]:
    plan = _mapping(document)
    version = plan.get("format_version")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise _unreadable("its format is not one that this version knows")
    if plan.get("errored") is True:
        raise _unreadable("planning it ended with an error")
    return plan


def _unreadable(why: str) -> ProvisionError:
    return ProvisionError(
        f"Terraform's plan cannot be used: {why}",
        next_step="run the command again; with Terraform 1.11 or newer if it stays so",
    )


def _change(entry: Mapping[str, Any], drifted: Mapping[str, Mapping[str, Any]]) -> Change | None:
    change = _mapping(entry.get("change"))
    action, found = _action(change), differences(change)
    if action is None:
        return None
    before = _mapping(change.get("before"))
    address = _text(entry, "address")
    gone = address in drifted and _actions(_mapping(drifted[address].get("change"))) == ("delete",)
    return Change(
        address=address,
        type=_text(entry, "type"),
        name=_text(entry, "name"),
        action=action,
        why=tuple(_why(action, entry, change, found)),
        differences=found if action in (Action.UPDATE, Action.REPLACE, Action.ADOPT) else (),
        locked=before.get("deletion_protection") is True,
        keeps=_kept(before),
        vanished=action is Action.CREATE and gone,
    )


def _action(change: Mapping[str, Any]) -> Action | None:
    actions = _actions(change)
    adopted = change.get("importing") is not None
    if actions in _NOTHING or (adopted and actions == ("update",)):
        return Action.ADOPT if adopted else None
    if actions not in _ACTIONS:
        raise _unreadable(f"it would {' and '.join(actions) or 'do something unnamed'}")
    return _ACTIONS[actions]


def _actions(change: Mapping[str, Any]) -> tuple[str, ...]:
    actions = change.get("actions")
    return tuple(map(str, actions)) if isinstance(actions, list) else ()


def _why(
    action: Action,
    entry: Mapping[str, Any],
    change: Mapping[str, Any],
    found: tuple[Difference, ...],
) -> Iterator[str]:
    if entry.get("deposed"):
        yield "left over from an earlier replacement"
    reason = entry.get("action_reason")
    if isinstance(reason, str) and reason in _REASONS:
        yield _REASONS[reason]
    if action is Action.REPLACE:
        yield from _forcing(change, found)
    elif action in (Action.UPDATE, Action.ADOPT) and _actions(change) != ("no-op",):
        yield from map(str, found)


def _forcing(change: Mapping[str, Any], found: tuple[Difference, ...]) -> Iterator[str]:
    """The attributes that can only change with the whole resource."""
    for name in _forced(change):
        inside = [str(difference) for difference in found if _within(difference.path, name)]
        yield from inside or [name]


def _forced(change: Mapping[str, Any]) -> list[str]:
    paths = change.get("replace_paths")
    lists = [path for path in paths if isinstance(path, list)] if isinstance(paths, list) else []
    return [name for name in map(dotted, lists) if name]


def _within(path: str, name: str) -> bool:
    """Whether `path` is `name`, or a leaf of the block that `name` is."""
    return path == name or path.startswith(f"{name}.")


def _kept(before: Mapping[str, Any]) -> str:
    name = before.get("final_snapshot_identifier")
    kept = isinstance(name, str) and before.get("skip_final_snapshot") is False
    return printable(str(name)) if kept else ""


def _drift(
    entries: list[Mapping[str, Any]],
    changes: tuple[Change, ...],
    drifted: Mapping[str, Mapping[str, Any]],
) -> Iterator[Drift]:
    """Terraform also lists what follows from its own last run; only what is put back counts."""
    by_address = {change.address: change for change in changes}
    for entry in entries:
        change = by_address.get(_text(entry, "address"))
        if change is None or change.address not in drifted:
            continue
        forced = _forced(_mapping(entry.get("change")))
        back = {d.path for d in change.differences if not d.unknown}
        if change.action is Action.REPLACE:
            back = {path for path in back if any(_within(path, name) for name in forced)}
        found = differences(_mapping(drifted[change.address].get("change")))
        what = tuple(str(d) for d in found if d.path in back)
        if change.vanished or what:
            yield Drift(change.address, change.vanished, what)


def _entries(plan: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = plan.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
        raise _unreadable(f"its `{key}` is not a list of changes")
    return entries


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(entry: Mapping[str, Any], key: str) -> str:
    return printable(str(entry.get(key, "")), _LONGEST)
