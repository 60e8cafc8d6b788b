"""Control groups of a lab's machines, on hosts with one hierarchy and on those with several."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
PREFIX = "provision-lab-"
_GONE_SECONDS = 5.0


def short_id(folder: Path) -> str:
    """Eight letters and digits for a lab, by its folder."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


class Group:
    """A group for one machine: its systemd gets a tree of its own in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def make(self, memory_bytes: int | None) -> None:
        """Make it, with a limit on memory where one is given."""
        for folder in self._folders():
            folder.mkdir(exist_ok=True)
        if memory_bytes is not None:
            self._limit(memory_bytes)

    def _limit(self, memory_bytes: int) -> None:
        for place, name in ((_ROOT / "memory", "memory.limit_in_bytes"), (_ROOT, "memory.max")):
            limit = place / self._name / name
            if limit.exists():
                limit.write_text(str(memory_bytes), encoding="ascii")
                return

    def joined(self, words: list[str]) -> list[str]:
        """The command that runs another one in the group."""
        places = [str(folder / "cgroup.procs") for folder in self._folders()]
        script = (
            'n=$1; shift; while [ $n -gt 0 ]; do echo $$ >"$1"; shift; n=$((n-1)); done; exec "$@"'
        )
        return ["/bin/sh", "-c", script, "sh", str(len(places)), *places, *words]

    def remove(self) -> None:
        """Take it away, once all its processes have ended."""
        for folder in self._folders():
            _remove(folder)

    def _folders(self) -> list[Path]:
        if (_ROOT / "cgroup.controllers").exists():
            return [_ROOT / self._name]
        places = (_ROOT / name for name in ("systemd", "unified", "memory"))
        return [place / self._name for place in places if place.is_dir()]


def sweep(lab: str) -> list[str]:
    """Remove what is left of a lab's groups; returns their names."""
    found = [f for p in (_ROOT, *_ROOT.glob("*")) for f in p.glob(f"{PREFIX}{lab}-*") if f.is_dir()]
    for folder in found:
        _remove(folder)
    return sorted({folder.name for folder in found})


def _remove(folder: Path) -> None:
    """From the leaves up; a process that was just killed keeps its group for a moment."""
    deadline = time.monotonic() + _GONE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        for inner in sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True):
            if inner.is_dir():
                with contextlib.suppress(OSError):
                    inner.rmdir()
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)
