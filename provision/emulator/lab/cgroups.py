"""Control groups of a lab's machines, on hosts with one hierarchy and on those with several."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
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
        self._memory_bytes = 0

    def make(self, memory_bytes: int) -> None:
        """Make it, with this limit on its memory."""
        for folder in self._folders():
            folder.mkdir(exist_ok=True)
        self._memory_bytes = memory_bytes
        for limit in (self._file("memory.limit_in_bytes"), self._file("memory.max")):
            if limit is not None:
                limit.write_text(str(memory_bytes), encoding="ascii")

    def _file(self, name: str) -> Path | None:
        """A file of the memory controller, whose place depends on the host's hierarchies."""
        places = (_ROOT / "memory" / self._name / name, _ROOT / self._name / name)
        return next((path for path in places if path.exists()), None)

    def meminfo(self) -> str:
        """What /proc/meminfo would say in a machine with this memory and no more (proc(5)).

        Always of the same length, so that it can be written over itself.
        """
        used = self._number("memory.usage_in_bytes") or self._number("memory.current")
        cached = self._cached()
        free = max(0, self._memory_bytes - used)
        values = {
            "MemTotal": self._memory_bytes,
            "MemFree": free,
            "MemAvailable": min(self._memory_bytes, free + cached),
            "Buffers": 0,
            "Cached": cached,
            "SwapTotal": 0,
            "SwapFree": 0,
        }
        return "".join(
            f"{name + ':':<15} {value // 1024:>12} kB\n" for name, value in values.items()
        )

    def _number(self, name: str) -> int:
        found = self._file(name)
        return int(found.read_text(encoding="ascii")) if found else 0

    def _cached(self) -> int:
        """Pages of files that the kernel gives up first."""
        found = self._file("memory.stat")
        lines = found.read_text(encoding="ascii").splitlines() if found else []
        numbers = dict(line.split() for line in lines)
        return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))

    def joined(self, words: list[str]) -> list[str]:
        """The command that runs another one in the group."""
        places = [str(folder / "cgroup.procs") for folder in self._folders()]
        script = (
            'n=$1; shift; while [ $n -gt 0 ]; do echo $$ >"$1"; shift; n=$((n-1)); done; exec "$@"'
        )
        return ["/bin/sh", "-c", script, "sh", str(len(places)), *places, *words]

    def end(self) -> None:
        """Kill whatever is still in it."""
        for folder in self._folders():
            for listed in [folder / "cgroup.procs", *folder.rglob("cgroup.procs")]:
                for number in listed.read_text(encoding="ascii").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(number), signal.SIGKILL)

    def remove(self) -> None:
        """Take it away, with all its processes."""
        self.end()
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
