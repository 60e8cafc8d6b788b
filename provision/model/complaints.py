"""What is wrong with a spec, before anyone knows the file and line it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from provision.errors import Problem

if TYPE_CHECKING:
    from provision.model.spec import Spec

Path = tuple[str | int, ...]
_SHOWN = 40
_EMPTY = '""'


@dataclass(frozen=True)
class Complaint:
    """One thing wrong, at the place `path` in the spec.

    `meant` is the setting that a misspelled key probably stands for. `involves` is filled where a
    rule between settings is broken: with all that the rule reads.
    """

    path: Path
    message: str
    hint: str = ""
    meant: Path | None = field(default=None, compare=False)
    involves: tuple[Path, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class SpecSource:
    """A valid spec together with where it was read: `lines` maps a path to its line, from 1."""

    spec: Spec
    file: str
    lines: Mapping[Path, int]

    def locate(self, complaint: Complaint) -> Problem:
        """The complaint as a problem of this file."""
        return located(complaint, self.file, self.lines)


def located(complaint: Complaint, file: str, lines: Mapping[Path, int]) -> Problem:
    """The complaint with its file, and the line of its place or of the nearest one around it."""
    path = complaint.path
    while path and path not in lines:
        path = path[:-1]
    line = lines.get(path, 1)
    return Problem(file, line, dotted(complaint.path), complaint.message, complaint.hint)


def complain(message: str, hint: str = "", **more: object) -> PydanticCustomError:
    """A validation error of pydantic's with our words in it; `explain` reads them back."""
    return PydanticCustomError("spec", "{message}", {"message": message, "hint": hint, **more})


def dotted(path: Path) -> str:
    """A path as people write it: `access.allowed_hosts[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{printable(part) or _EMPTY}"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value for use in a message: one line, at most about 40 characters, nothing unprintable."""
    if isinstance(value, str):
        return f'"{printable(value)}"' if value else "an empty text"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _short(repr(value)) if abs(value) < 10**30 else "a huge number"
    if value is None:
        return "an empty value"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def printable(text: str, limit: int = _SHOWN) -> str:
    """`text` with control characters and the like escaped, cut at `limit` characters."""
    cut = _short(text, limit)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def _short(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
