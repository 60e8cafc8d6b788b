"""A spec's text with one value changed, and everything else as its owner wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from provision.model.complaints import Path

_UNTIL = re.compile(r"""(until["']?\s*:\s*["']?)([0-9]{4}-[0-9]{2}-[0-9]{2})""")


def with_until(text: str, lines: Mapping[Path, int], day: date) -> str | None:
    """The text with another last day; `None` where the day is not on the line of its key.

    `lines` tells the line of each setting, from 1.
    """
    number = lines.get(("lifetime", "until"))
    if number is None:
        return None
    parts = text.splitlines(keepends=True)
    changed, count = _UNTIL.subn(rf"\g<1>{day}", parts[number - 1])
    if count != 1:
        return None
    return "".join([*parts[: number - 1], changed, *parts[number:]])
