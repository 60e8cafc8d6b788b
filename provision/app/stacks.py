"""`provision list`: every stack of this user, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SCHEMA = "provision.index/1"


class IndexFiles(Protocol):
    """What the index needs of the file system."""

    def make_folder(self, path: Path) -> None:
        """Create a folder with its parents."""

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Replace a JSON file in one step."""

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """The object in a JSON file; `None` where there is none."""

    def remove_file(self, path: Path) -> None:
        """Delete a file; one that is not there is fine."""


@dataclass(frozen=True)
class StackLine:
    """One stack of the list."""

    name: str
    target: str
    state: str
    uri: str
    folder: str


@dataclass(frozen=True)
class StackList:
    """All of them."""

    stacks: Sequence[StackLine]


@dataclass(frozen=True)
class IndexEntry:
    """Where a stack is: its own folder, and what the list shows of it."""

    root: Path
    name: str
    target: str
    uri: str


def forget(files: IndexFiles, index: Path, root: Path) -> None:
    """Take a stack off the list; called when its data is deleted."""
    files.remove_file(_entry_path(index, root))


def _entry_path(index: Path, root: Path) -> Path:
    return index / f"{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.json"


def remember(files: IndexFiles, index: Path, entry: IndexEntry) -> None:
    """Note where a stack is; called at every `up`."""
    files.make_folder(index)
    files.write_json(
        _entry_path(index, entry.root),
        {
            "schema": SCHEMA,
            "root": str(entry.root),
            "name": entry.name,
            "target": entry.target,
            "uri": entry.uri,
        },
    )


def stack_list(files: IndexFiles, index: Path, running: Callable[[Path], bool]) -> StackList:
    """All stacks whose folder still exists; the others are forgotten."""
    lines = []
    for path in sorted(index.glob("*.json")):
        entry = files.read_json(path)
        if entry is None or entry.get("schema") != SCHEMA:
            continue
        root = Path(str(entry["root"]))
        if not root.exists():
            files.remove_file(path)
            continue
        lines.append(_line(entry, root, running))
    return StackList(sorted(lines, key=lambda line: (line.name, line.folder)))


def _line(entry: dict[str, Any], root: Path, running: Callable[[Path], bool]) -> StackLine:
    uri = str(entry.get("uri", ""))
    state = "running" if running(root) else "stopped"
    if not uri.startswith("http"):
        state = "no server"
    return StackLine(str(entry["name"]), str(entry["target"]), state, uri, str(root))
