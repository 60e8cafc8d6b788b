"""Artifacts out of a bucket and into one, as archive and restore copy them, against s5cmd.

Each contestant is a whole process, against objects of its own behind `s3_objects.py`. Ours copies,
hashes, notes and reads everything again, as an archive does; s5cmd copies.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine_line, table, write
from emptying import S5CMD, run, s5cmd_in, stand_in

SETS = {"small": (3_000, 8 << 10), "large": (6, 96 << 20)}
ROUNDS = 3
TARGET = 1.3
ARCHIVE = """\
import sys, time
from pathlib import Path
from provision.server.archive import archiving, artifacts, files
from provision.server.archive.journal import Journal
from provision.server.archive.reporting import Reporter
from provision.server.places import Place
place = Place("bench", "sqlite://", "s3://full/artifacts", region="us-east-1")
folder = Path(sys.argv[1])
work = archiving._Work(place, folder, Journal(folder), Reporter(sys.stderr), "")
begun = time.perf_counter()
archiving._artifacts(work, artifacts.Objects(artifacts.bucket(place)))
print("took-alone", time.perf_counter() - begun)
archiving._sums(folder, work.journal, work.reporter)
files.sync_everything()
assert work.journal.totals() == (int(sys.argv[2]), int(sys.argv[2]) * int(sys.argv[3]))
"""
RESTORE = """\
import sys, time
from pathlib import Path
from provision.server.archive import artifacts, restoring, rewriting
from provision.server.archive.reporting import Reporter
from provision.server.places import Place
place = Place("bench", "sqlite://", "s3://full/artifacts", region="us-east-1")
root = Path(sys.argv[1])
origin = artifacts.Folders([rewriting.Root(root, root, "", whole=True)])
source = restoring.Source(place, lambda *_: origin, restoring.every_item)
begun = time.perf_counter()
done = restoring._artifacts(source, origin, place, Reporter(sys.stderr), replace=False)
print("took-alone", time.perf_counter() - begun)
assert done == {"files": int(sys.argv[2]), "bytes": int(sys.argv[2]) * int(sys.argv[3])}
"""


class Contest:
    """Both clients and the files that they send, made ready."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.s5cmd = s5cmd_in(base / "s5cmd")
        for name, (number, size) in SETS.items():
            for n in range(number):
                file = base / name / str(n % 7) / f"{n:032x}" / "artifacts" / f"{n:06}.bin"
                file.parent.mkdir(parents=True)
                file.write_bytes(bytes(size))

    def command(self, client: str, way: str, what: str, folder: Path) -> list[str]:
        """What is measured; an archive goes into `folder`."""
        sent = self.base / what
        if client == "provision":
            place = folder if way == "archive" else sent
            program = ARCHIVE if way == "archive" else RESTORE
            return [sys.executable, "-c", program, str(place), *map(str, SETS[what])]
        pair = ("s3://full/artifacts/*", f"{folder}/")
        if way == "restore":
            pair = (f"{sent}/", "s3://full/artifacts/")
        return [str(self.s5cmd), "--log", "error", "cp", *pair]

    def measure(self, client: str, way: str, what: str) -> dict[str, Any]:
        """One run of one client."""
        folder = Path(tempfile.mkdtemp(dir=self.base))
        there = SETS[what] if way == "archive" else (0, 0)
        try:
            with stand_in("s3_objects.py", *there) as port:
                found = run(self.command(client, way, what, folder), port, folder)
            said = (folder / "log").read_text().split("took-alone ")[-1].split()
            found["copying"] = float(said[0]) if client == "provision" else found["seconds"]
        finally:
            shutil.rmtree(folder)
        print(client, way, what, {k: round(v, 2) for k, v in found.items()}, flush=True)
        return found


def main() -> None:
    base = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    cases = [(way, what) for way in ("archive", "restore") for what in SETS]
    try:
        contest = Contest(base)
        rounds = [
            {
                (c, *case): contest.measure(c, *case)
                for case in cases
                for c in ("provision", "s5cmd")
            }
            for _ in range(ROUNDS)
        ]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    report(rounds, cases)


def report(rounds: Sequence[dict[Any, dict[str, Any]]], cases: Sequence[tuple[str, str]]) -> None:
    def median(client: str, case: tuple[str, str], what: str) -> float:
        return statistics.median(found[client, *case][what] for found in rounds)

    def ratio(case: tuple[str, str], what: str) -> float:
        """The median of the ratios of neighbouring runs."""
        return statistics.median(
            f["provision", *case][what] / f["s5cmd", *case]["seconds"] for f in rounds
        )

    rows = [
        [
            f"{way}, {SETS[what][0]:,} files of {SETS[what][1] >> 10:,} KiB",
            f"{median('provision', (way, what), 'seconds'):.1f}",
            f"{median('s5cmd', (way, what), 'seconds'):.1f}",
            f"{ratio((way, what), 'seconds'):.2f}", f"{ratio((way, what), 'copying'):.2f}",
            f"{median('provision', (way, what), 'memory'):.0f}",
            f"{median('s5cmd', (way, what), 'memory'):.0f}",
        ]
        for way, what in cases
    ]  # fmt: skip
    text = (
        "# Artifacts out of a bucket and into one\n\n"
        f"{machine_line()}. A stand-in for S3 on the same machine answers each request after "
        f"40 ms: imitated, no measurement of AWS. Medians of {ROUNDS} runs in turn, whole "
        "processes. Ours hashes each file, never replaces an object, and reads an archive again "
        f"from the disk; {S5CMD} copies. `copying alone` is "
        f"without starting Python and without that proof. Target: {TARGET} times its time.\n\n"
        + table(
            ["what", "seconds", "s5cmd", "times s5cmd's", "copying alone", "MB", "s5cmd's MB"], rows
        )
    )
    figures = {
        f"{way} {what}": {kind: ratio((way, what), kind) for kind in ("seconds", "copying")}
        for way, what in cases
    }
    write("artifacts", text, {"ratios": figures, "target": TARGET})


if __name__ == "__main__":
    main()
