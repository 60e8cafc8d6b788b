"""What Terraform says while it works, line by line, as values.

The source is Terraform's machine-readable UI (the `-json` flag of `plan` and `apply`, format 1.2):
one JSON object per line. Kinds that later versions add are not an error: they are `None` here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["planned", "drifted", "started", "progress", "done", "failed"]

_HOOKS: Final[Mapping[str, Kind]] = {
    "apply_start": "started",
    "apply_progress": "progress",
    "apply_complete": "done",
    "apply_errored": "failed",
    "refresh_start": "started",
    "refresh_complete": "done",
    "ephemeral_op_start": "started",
    "ephemeral_op_progress": "progress",
    "ephemeral_op_complete": "done",
    "ephemeral_op_errored": "failed",
}
_CHANGES: Final[Mapping[str, Kind]] = {"planned_change": "planned", "resource_drift": "drifted"}


@dataclass(frozen=True)
class ResourceEvent:
    """One thing that happens, or will happen, to one resource.

    `action` is Terraform's word: create, update, delete, replace, read, import, move, remove (from
    the state alone), and refresh. `elapsed` counts the seconds since this action started.
    """

    kind: Kind
    address: str
    action: str
    elapsed: float = 0.0
    resource_id: str | None = None


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning. `detail` may hold values of the configuration: show it, log it not."""

    severity: str
    summary: str
    detail: str
    address: str | None = None


@dataclass(frozen=True)
class Summary:
    """How many resources an operation (plan, apply, destroy) changes, or has changed."""

    operation: str
    add: int
    change: int
    remove: int
    imported: int = 0


@dataclass(frozen=True)
class Outputs:
    """The outputs that are no secret; the sensitive ones are left out."""

    values: Mapping[str, Any]


Event = ResourceEvent | Diagnostic | Summary | Outputs


def parse(line: str) -> Event | None:
    """The event in one line; `None` for a line that is none, or of a kind that nobody needs.

    Never raises: what a newer Terraform prints must not end an apply.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _event(value) if isinstance(value, dict) else None


def _event(value: Mapping[str, Any]) -> Event | None:
    kind = _text(value.get("type"))
    if kind in _HOOKS:
        return _hook(kind, _mapping(value.get("hook")))
    if kind in _CHANGES:
        return _change(kind, _mapping(value.get("change")))
    if kind == "diagnostic":
        return _diagnostic(_mapping(value.get("diagnostic")))
    if kind == "change_summary":
        return _summary(_mapping(value.get("changes")))
    return _outputs(_mapping(value.get("outputs"))) if kind == "outputs" else None


def _hook(kind: str, hook: Mapping[str, Any]) -> ResourceEvent | None:
    address = _address(hook)
    if not address:
        return None
    action = "refresh" if kind.startswith("refresh") else _text(hook.get("action"))
    identity = _text(hook.get("id_value")) or None
    seconds = _number(hook.get("elapsed_seconds"))
    return ResourceEvent(_HOOKS[kind], address, action, seconds, identity)


def _change(kind: str, change: Mapping[str, Any]) -> ResourceEvent | None:
    address = _address(change)
    if not address:
        return None
    identity = _text(_mapping(change.get("importing")).get("id")) or None
    return ResourceEvent(_CHANGES[kind], address, _text(change.get("action")), 0.0, identity)


def _diagnostic(value: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic(
        severity=_text(value.get("severity")) or "error",
        summary=_text(value.get("summary")),
        detail=_text(value.get("detail")),
        address=_text(value.get("address")) or None,
    )


def _summary(changes: Mapping[str, Any]) -> Summary:
    add, change, remove, imported = (
        int(_number(changes.get(name))) for name in ("add", "change", "remove", "import")
    )
    return Summary(_text(changes.get("operation")), add, change, remove, imported)


def _outputs(outputs: Mapping[str, Any]) -> Outputs:
    plain = {
        name: output["value"]
        for name, output in outputs.items()
        if isinstance(output, dict) and output.get("sensitive") is False and "value" in output
    }
    return Outputs(plain)


def _address(value: Mapping[str, Any]) -> str:
    return _text(_mapping(value.get("resource")).get("addr"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    """A finite number, 0 for anything else: JSON as Python reads it knows Infinity and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return number if abs(number) < float("inf") else 0.0
