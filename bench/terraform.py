"""The road to an account against bare Terraform, and `status` against what it cannot do without.

Everything runs in emulated accounts, one for each side. Bare Terraform gets the same root, the same
variables and the same provider; both sides have done `terraform init` before, and their accounts
answer already. CPU counts a command's whole family of processes (Terraform, its provider, ours),
not the emulated account.

    python bench/terraform.py           all of it, about 10 minutes
    python bench/terraform.py --no-up   without `up`, whose minutes are Terraform's own pauses
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Times, machine_line, table, time_once, write

from provision.adapters.terraform.program import find_program
from provision.adapters.terraform.providers import child_environment, find_providers
from provision.adapters.terraform.sources import lay_out
from provision.adapters.workspace import read_json
from provision.emulator import client as emulator
from provision.targets.aws_record import AwsPaths

ROUNDS = {"plan": 3, "again": 3, "up": 3, "status": 15, "offline": 25}
WALL_LIMIT = 1.1
STATUS_LIMIT = 1.3
OFFLINE_LIMIT = 6.0
REGION = "eu-west-1"
PYTHON = sys.executable
PROVISION = str(Path(PYTHON).parent / "provision")
SPEC = f"name: bench\ntarget: aws\naws:\n  region: {REGION}\n  ingress: [203.0.113.0/24]\n"
PENDING = 3
# What a status needs at least: boto3, and the slower of its two calls, EC2's.
FLOOR = """
import boto3, sys
boto3.client("ec2").describe_instance_status(InstanceIds=[sys.argv[1]], IncludeAllInstances=True)
"""


@dataclass(frozen=True)
class Ours:
    """A folder with a spec, whose emulated account answers and whose Terraform is prepared."""

    folder: Path
    environment: dict[str, str]

    @property
    def paths(self) -> AwsPaths:
        return AwsPaths.below(self.folder / ".provision" / "bench")

    def run(self, *words: str, code: int = 0) -> tuple[float, float]:
        return time_once([PROVISION, *words], self.folder, self.environment, code)

    def instance(self) -> str:
        record = read_json(self.paths.record) or {}
        return str(record["outputs"]["server"]["value"]["instance_id"])


@dataclass(frozen=True)
class Bare:
    """The same root module in a folder of its own, with an account of its own."""

    root: Path
    environment: dict[str, str]

    def run(self, *words: str) -> tuple[float, float]:
        return time_once(["terraform", *words], self.root, self.environment)

    def plan(self) -> tuple[float, float]:
        return self.run("plan", "-input=false", "-var-file=bench.tfvars.json", "-out=bench.tfplan")

    def apply(self) -> tuple[float, float]:
        return self.run("apply", "-input=false", "bench.tfplan")


def ours(folder: Path) -> Ours:
    folder.mkdir(parents=True)
    (folder / "provision.yaml").write_text(SPEC, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    made = Ours(folder, environment | {"XDG_STATE_HOME": str(folder / "lists")})
    made.run("plan", "--emulated", "-q", code=PENDING)
    return made


def bare(folder: Path, model: Ours) -> Bare:
    folder.mkdir(parents=True)
    account = emulator.start(folder / "emulator", PYTHON, os.environ, regions=[REGION])
    root = lay_out(folder / "terraform", account.override())
    variables = model.paths.terraform / "stacks/tracking/provision.tfvars.json"
    shutil.copy(variables, root / "bench.tfvars.json")
    seen = account.over(os.environ)
    environment = child_environment(seen, find_providers(seen, root))
    # As a user has it: the garbage collector at Go's own pace.
    made = Bare(root, {k: v for k, v in environment.items() if k != "GOGC"})
    made.run("init", "-input=false")
    return made


def in_turn(pairs: Sequence[Any], rounds: int) -> list[Times]:
    """A B A B; the round before is not counted."""
    taken: list[list[tuple[float, float]]] = [[] for _ in pairs]
    for number in range(rounds + 1):
        for run, times in zip(pairs, taken, strict=True):
            measured = run()
            if number:
                times.append(measured)
    return [Times([w for w, _ in times], [c for _, c in times]) for times in taken]


def plans(base: Path) -> list[Times]:
    """Plans of a stack that does not exist yet."""
    mine, theirs = pair(base / "plan")
    try:
        command = ("plan", "--emulated", "-q")
        return in_turn([lambda: mine.run(*command, code=PENDING), theirs.plan], ROUNDS["plan"])
    finally:
        end(mine, theirs)


def ups(base: Path) -> dict[str, list[Times]]:
    """Each side from nothing to everything, then a plan that finds nothing to do, then `status`.

    All at the same time, each in an account of its own: most of it is waiting, and what else this
    machine does then weighs on both sides alike.
    """
    pairs = [pair(base / f"up-{number}") for number in range(ROUNDS["up"])]
    try:
        with ThreadPoolExecutor(2 * len(pairs)) as at_once:
            ran = [(at_once.submit(up, mine), at_once.submit(road, bare)) for mine, bare in pairs]
            times = [[side.result() for side in sides] for sides in zip(*ran, strict=True)]
        mine, theirs = pairs[0]
        again = in_turn([lambda: mine.run("plan", "-q"), theirs.plan], ROUNDS["again"])
        found = {"up": [Times(*zip(*side, strict=True)) for side in times], "again": again}
        return found | {"status": looks(mine), "offline": offline(mine)}
    finally:
        for one in pairs:
            end(*one)


def pair(base: Path) -> tuple[Ours, Bare]:
    mine = ours(base / "ours")
    return mine, bare(base / "bare", mine)


def up(mine: Ours) -> tuple[float, float]:
    return mine.run("up", "--emulated", "--yes", "-q")


def road(theirs: Bare) -> tuple[float, float]:
    steps = (theirs.plan(), theirs.apply())
    return sum(w for w, _ in steps), sum(c for _, c in steps)


def looks(mine: Ours) -> list[Times]:
    account = emulator.find(mine.paths.emulator)
    assert account is not None
    seen = account.over(mine.environment)
    floor = [PYTHON, "-c", FLOOR, mine.instance()]
    return in_turn(
        [lambda: mine.run("status"), lambda: time_once(floor, mine.folder, seen)], ROUNDS["status"]
    )


def offline(mine: Ours) -> list[Times]:
    nothing = [PYTHON, "-c", "pass"]
    return in_turn(
        [lambda: mine.run("status", "--offline"), lambda: time_once(nothing)], ROUNDS["offline"]
    )


def end(mine: Ours, theirs: Bare) -> None:
    emulator.stop(mine.paths.emulator)
    emulator.stop(theirs.root.parents[2] / "emulator")


@dataclass(frozen=True)
class Row:
    """One comparison: its names, and how many times the other side's wall time it may take."""

    key: str
    name: str
    against: str
    limit: float
    cpu_below: bool

    def judged(self, times: Sequence[Times]) -> dict[str, Any]:
        mine, theirs = times
        wall = mine.wall_median / theirs.wall_median
        cpu = mine.cpu_median / theirs.cpu_median
        held = wall <= self.limit and (cpu < 1 or not self.cpu_below)
        seconds = [mine.wall_median, theirs.wall_median, mine.cpu_median, theirs.cpu_median]
        names = ("wall_s", "against_wall_s", "cpu_s", "against_cpu_s")
        return dict(zip(names, seconds, strict=True)) | {
            "wall": wall, "cpu": cpu, "limit": self.limit, "held": held,
        }  # fmt: skip


ROWS = (
    Row("plan", "`provision plan --emulated`, nothing there", "`terraform plan -out`",
        WALL_LIMIT, True),
    Row("up", "`provision up --emulated --yes`", "`terraform plan -out`, then `apply`",
        WALL_LIMIT, True),
    Row("again", "`provision plan`, nothing to do", "`terraform plan -out`", WALL_LIMIT, True),
    Row("status", "`provision status`", "`import boto3` and EC2's call", STATUS_LIMIT, False),
    Row("offline", "`provision status --offline`", "`python -c pass`", OFFLINE_LIMIT, False),
)  # fmt: skip


def shown(row: Row, found: dict[str, Any]) -> list[str]:
    digits = 1 if found["wall_s"] > 2 else 3
    return [
        row.name,
        row.against,
        f"{found['wall_s']:.{digits}f} / {found['against_wall_s']:.{digits}f}",
        f"{found['wall']:.2f}",
        f"{row.limit:g}",
        f"{found['cpu_s']:.{digits}f} / {found['against_cpu_s']:.{digits}f}",
        f"{found['cpu']:.2f}" + (" (below 1)" if row.cpu_below else ""),
        "yes" if found["held"] else "no",
    ]


def main() -> None:
    base = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    try:
        times = {"plan": plans(base)}
        if "--no-up" not in sys.argv:
            times |= ups(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    results = {row.key: row.judged(times[row.key]) for row in ROWS if row.key in times}
    head = ("command", "against", "seconds", "ratio", "at most", "CPU s", "ratio of CPU", "held")
    version = find_program(os.environ).version
    text = (
        "# The road to an account\n\n"
        f"{machine_line()}. Terraform {version}. Medians of whole processes, in turn (`up`: three "
        "of each side at the same time; most of its minutes are pauses of Terraform's provider, "
        "the same on both sides).\n\n"
        + table(head, [shown(row, results[row.key]) for row in ROWS if row.key in results])
        + "\n"
    )
    write("terraform", text, results)


if __name__ == "__main__":
    main()
