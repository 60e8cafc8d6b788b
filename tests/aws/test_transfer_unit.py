"""How the machine's shell waits for the unit of a copying job, on a systemd that plays its part."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision.adapters.cloud.objects import Bucket
from provision.targets.transfer_unit import BUSY, ended_lines, start_lines

GONE = "LoadState=not-found ActiveState=inactive"
RUNNING, ENDING, ENDED, FAILED = (
    f"LoadState=loaded ActiveState={state}"
    for state in ("active", "deactivating", "inactive", "failed")
)
START = start_lines("export", Bucket("a-bucket", "123456789012"), "eu-west-1", "job", {})
PROGRAMS = {
    # Each look sees the next state; the last one stays.
    "systemctl": '[ "$1" = show ] || exit 64\n'
    'state=$(head -n 1 states); [ "$(wc -l <states)" = 1 ] || sed -i 1d states\n'
    "echo \"$state\" | tr ' ' '\\n'; echo look >>looks",
    "sleep": "exit 0",
    "systemd-run": "echo started",
}


def play(folder: Path, lines: Sequence[str], *states: str) -> tuple[int, str, int]:
    """What a script of these lines ends with and says, and how often it has looked."""
    programs = folder / "bin"
    programs.mkdir()
    for name, body in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / "states").write_text("\n".join(states) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}, check=False,
    )  # fmt: skip
    assert not done.stderr
    looks = (folder / "looks").read_text(encoding="utf-8").count("look")
    return done.returncode, done.stdout.strip(), looks


def test_a_job_starts_at_once_where_none_is(tmp_path: Path) -> None:
    assert play(tmp_path, START, GONE) == (0, "started", 1)


def test_a_job_waits_for_one_that_has_told_its_result(tmp_path: Path) -> None:
    """It ends, starts the server for a minute, and is gone some moments after that."""
    before = [RUNNING, RUNNING, *[ENDING] * 120, ENDED, FAILED]
    assert play(tmp_path, START, *before, GONE) == (0, "started", len(before) + 1)


def test_a_job_that_really_runs_is_no_others_to_replace(tmp_path: Path) -> None:
    code, said, looks = play(tmp_path, START, RUNNING)
    assert (code, said) == (BUSY, "") and 1 < looks < 100


def test_a_command_ends_when_the_unit_has(tmp_path: Path) -> None:
    before = [*[RUNNING] * 15, ENDING]
    assert play(tmp_path, ended_lines(), *before, GONE) == (0, "", len(before) + 1)
