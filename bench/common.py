"""What the benchmarks share: timing of whole processes, in turn, and tables that are committed."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Times:
    """Wall and CPU seconds of several runs of one command."""

    wall: Sequence[float]
    cpu: Sequence[float]

    @property
    def wall_median(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


def time_once(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    code: int = 0,
) -> tuple[float, float]:
    """Wall and CPU seconds of one whole process with all that it started and waited for.

    Its output is thrown away. One that ends with another exit code than `code` has no time.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise subprocess.CalledProcessError(process.returncode, command)
    return taken, usage.ru_utime + usage.ru_stime


def in_turn(commands: Sequence[Sequence[str]], rounds: int) -> list[Times]:
    """Run the commands A B C A B C, after one round that does not count."""
    taken: list[list[tuple[float, float]]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for command, times in zip(commands, taken, strict=True):
            measured = time_once(command)
            if number:
                times.append(measured)
    return [Times([w for w, _ in times], [c for _, c in times]) for times in taken]


def machine_line() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{date.today().isoformat()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}; shared and noisy: ratios count, seconds do not"
    )


def write(name: str, text: str, data: Any) -> None:
    """Commit-ready results: a table for people, the numbers for programs."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    print(text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
