"""`extend`: a later last day, written into the spec and, in an account, told to AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from provision.errors import ProvisionError, RefusedError, UsageError
from provision.model.complaints import SpecSource
from provision.model.spec_text import with_until


@dataclass(frozen=True)
class ExtendResult:
    """The last day before and now (ISO 8601), the file that says it, and whether AWS was told."""

    name: str
    before: str
    until: str
    file: str
    told: bool


def extended(source: SpecSource, text: str, day: date, today: date) -> str:
    """The spec's new text. Raises `UsageError` for a day that gives no more time."""
    before = source.spec.lifetime.until
    if before is None:
        raise UsageError(
            f"{source.spec.name} has no last day that could be moved",
            next_step="write until under lifetime in the spec to give it one",
        )
    if day < today or day <= before:
        why = "is in the past" if day < today else f"is no later than its last day, {before}"
        raise UsageError(f"{day} {why}", next_step="name a later day; down ends it at once")
    changed = with_until(text, source.lines, day)
    if changed is None:
        raise ProvisionError(
            f"the last day in {source.file} is written in a way that cannot be changed here",
            next_step=f"write until: {day} there, then run provision up",
        )
    return changed


def extend(
    source: SpecSource, texts: tuple[str, str], day: date, write: Callable[[str], None],
    tell: Callable[[], bool],
) -> ExtendResult:  # fmt: skip
    """Write the new one of both texts, then tell AWS; who says no to that has the old one again."""
    old, new = texts
    write(new)
    try:
        told = tell()
    except RefusedError:
        write(old)
        raise
    before = source.spec.lifetime.until
    return ExtendResult(source.spec.name, str(before), str(day), source.file, told)
