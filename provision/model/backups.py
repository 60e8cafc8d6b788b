"""Named points in a stack's life, to which it can be brought back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from provision.errors import MissingError, UsageError

_NAME: Final = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_LONGEST: Final = 40
BEFORE: Final = "before-"
"""How the name of a backup begins that a command made by itself, before it changed something."""


@dataclass(frozen=True)
class Backup:
    """One of them.

    `at` is ISO 8601 in UTC, `bytes` what it takes at most. `ready` is False for one that is still
    being made, or whose making was cut off. `whole_until` is the moment from which on artifacts of
    it may be gone (ISO 8601; `None` where none go). `where` is what holds it.
    """

    name: str
    at: str
    bytes: int
    ready: bool
    where: str
    mlflow_version: str = ""
    whole_until: str | None = None


def newest_first(found: Iterable[Backup]) -> tuple[Backup, ...]:
    """In the order in which they are shown."""
    return tuple(sorted(found, key=lambda backup: (backup.at, backup.name), reverse=True))


def named(found: Iterable[Backup], name: str) -> Backup:
    """The one of that name. Raises `MissingError` where there is none, or it is not whole."""
    known = {backup.name: backup for backup in found}
    if name not in known:
        names = ", ".join(list(known)[:5]) or "none"
        raise MissingError(
            f"there is no backup {name} (there is {names})",
            next_step="provision backup --list shows all of them",
        )
    if not known[name].ready:
        raise MissingError(
            f"the backup {name} is not whole yet, or its making was cut off",
            next_step="provision backup --list shows when it is ready; take another one",
        )
    return known[name]


def last_made(found: Iterable[Backup]) -> str:
    """When the newest whole one was made; empty without any."""
    return max((backup.at for backup in found if backup.ready), default="")


def require_name(name: str) -> str:
    """The name itself; raises `UsageError` for one that AWS, or a folder, would not take."""
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r} cannot be a backup's name",
            next_step=f"use up to {_LONGEST} of a-z, 0-9 and single hyphens between them",
        )
    return name


def name_at(moment: datetime) -> str:
    """The name of a backup that nobody named: 20261127-223105."""
    return moment.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
