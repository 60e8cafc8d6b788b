"""The lock of a Terraform state: who holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class LockInfo:
    """Who holds a lock: Terraform's id for it, `user@host`, the operation, and since when.

    `created` is as Terraform writes it: UTC, RFC 3339 in a file, Go's own form in its messages.
    """

    id: str
    who: str
    operation: str
    created: str

    @property
    def host(self) -> str:
        """The machine that it was taken on."""
        return self.who.partition("@")[2]

    def age(self, now: datetime) -> float | None:
        """Seconds since it was taken; `None` where `created` tells no time that can be read."""
        try:
            return (now - datetime.fromisoformat(self.created)).total_seconds()
        except (ValueError, TypeError):
            return None


def lock_from(value: Mapping[str, Any]) -> LockInfo | None:
    """The lock in the JSON that Terraform writes (`.terraform.tfstate.lock.info`, `.tflock`)."""
    texts = [value.get(key) for key in ("ID", "Who", "Operation", "Created")]
    identity, who, operation, created = (text if isinstance(text, str) else "" for text in texts)
    if not identity:
        return None
    return LockInfo(identity, who, operation.removeprefix("OperationType").lower(), created)


def lock_in(text: str) -> LockInfo | None:
    """The lock that an error message tells of; its lines are indented `Name:  value`."""
    fields = {}
    for key in ("ID", "Who", "Operation", "Created"):
        # At the start of a line: AWS' own text before it has a "RequestID:".
        match = re.search(rf"^[ \t│]*{key}:[ \t]+(\S.*?)[ \t]*$", text, re.MULTILINE)
        fields[key] = match[1] if match else None
    return lock_from(fields)


def parse_lock(content: bytes) -> LockInfo | None:
    """The lock in a lock file's content; `None` when it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return lock_from(value) if isinstance(value, dict) else None
