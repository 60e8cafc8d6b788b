"""Amounts of memory and of time as people write them."""

from __future__ import annotations

import re
from typing import Final

DAYS_PER_MONTH: Final = 730 / 24
"""What AWS' monthly prices are for: 730 hours."""

UNITS: Final = {
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
SIZE_PATTERN: Final = r"^[0-9]{1,6}(\.[0-9]{1,3})? ?(MiB|GiB|TiB|MB|GB|TB)$"


def parse_size(text: str) -> int:
    """The bytes in a size such as `512MiB`, `1.5GiB` or `2 GB`; ValueError for anything else.

    `MiB` counts in 1024s, `MB` in 1000s, and the unit is never left out.
    """
    if re.fullmatch(SIZE_PATTERN[1:-1], text) is None:
        raise ValueError(f"not a size: {text!r}")
    number = text.rstrip("BGMTi ")
    whole, _, part = number.partition(".")
    # In integers: a float would turn 0.001TB into a byte less than it is.
    thousandths = int(whole) * 1000 + int(part.ljust(3, "0") or 0)
    return thousandths * UNITS[text[len(number) :].strip()] // 1000


def format_size(size: int) -> str:
    """`size` bytes for people, in 1024s and at most one decimal: `512MiB`, `1.5GiB`."""
    unit = next((u for u in ("TiB", "GiB") if size >= UNITS[u]), "MiB")
    return f"{size / UNITS[unit]:.1f}".removesuffix(".0") + unit


def amount(count: float) -> str:
    """Bytes as a person says them, in 1000s: 1.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def suggested_size(text: str) -> str | None:
    """The size that was probably meant by `512m`, `2g`, `1gb` or a bare `512`; None if unclear."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([mgt]?)(i?)b?", text.strip().lower())
    if match is None:
        return None
    number, letter, binary = match.groups()
    written_in_thousands = letter and not binary and text.strip().lower().endswith("b")
    unit = (letter or "m").upper() + ("B" if written_in_thousands else "iB")
    return number + unit


def format_duration(seconds: float) -> str:
    """Seconds as a person says them: 3 h 12 min."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
