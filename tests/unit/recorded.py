"""Terraform 1.11 plans of `stacks/tracking` against the emulated account, as recorded.

`plans/NAME.json` is what `terraform show -json` printed, shortened to the attributes that differ.
`create`: a first run. `noop`: nothing to do after it. `changes`: another network let in, other user
data, more days of backups and of old versions. `kms`: a key of one's own, which RDS and EC2 take
only in a new database and machine. `drift`: an alarm deleted and a tag changed by hand. `destroy`.
`adopt`: a bucket that was there already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.model.plan import Plan

FOLDER = Path(__file__).parent / "plans"
PLANS = ("create", "noop", "changes", "kms", "drift", "destroy", "adopt")
DATABASE = "module.backend_store.aws_db_instance.this"
BUCKET = "module.artifact_store.aws_s3_bucket.this"
MACHINE = "module.tracking_server.aws_instance.this"


def document(name: str) -> dict[str, Any]:
    value = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def plan(name: str) -> Plan:
    return Plan.from_json(document(name))


def made_up(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan's JSON with these changes: each names its address, type and `change`."""
    changes = [{"mode": "managed", "name": "this", **entry} for entry in entries]
    return {"format_version": "1.2", "resource_changes": changes, **more}


def update(before: dict[str, Any], after: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"actions": ["update"], "before": before, "after": after, **more}


@dataclass(frozen=True)
class Event:
    """One of Terraform's events, as far as the live view looks."""

    kind: str
    address: str
    action: str
    elapsed: float = 0.0


def events(name: str) -> list[tuple[float, Event]]:
    """The events of `apply` (of the plan `create`) or `destroy`, each with its second."""
    rows = json.loads((FOLDER / f"{name}-events.json").read_text(encoding="utf-8"))
    return [(second, Event(kind, address, action, elapsed))
            for second, kind, action, address, elapsed in rows]  # fmt: skip
