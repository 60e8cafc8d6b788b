"""Bad days of a machine on AWS, one after the other, on a stack that the command itself brought up.

`make faults`, or `python -m tests.lab.faults [NAME ...]`: an hour for all of them. Each one ends as
`survived` (everything works, nobody had to do anything but mend the cause) or `named` (the user's
own commands say what it is); anything else ends the run with exit code 1. What was seen goes to
docs/reference/faults.json, and the page beside it is made from that; rows of names that did not run
stay, and one that failed has none. It needs what `provision rehearse` needs (docs/rehearsal.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import boto3

from provision.emulator import client as emulator
from provision.emulator.client import Emulated
from provision.emulator.lab.client import Lab
from provision.model.boot import BootReport, report_key
from tests.checkout import ROOT
from tests.waiting import until

if TYPE_CHECKING:
    from tests.lab.fault_cases import Case

PAGE = ROOT / "docs" / "reference" / "faults.md"
RESULTS = PAGE.with_suffix(".json")
NAME, REGION = "faults", "eu-west-1"
# The emulation's own authority: choosing another one costs the provider 80 more seconds of sleep.
SPEC = f"""\
name: {NAME}
target: rehearsal
aws:
  region: {REGION}
  ingress: [203.0.113.0/24]
  settings: {{database_ca: rds-ca-default}}
"""
_PATIENCE = 1500.0
_MOST = 240  # letters of what was said, in the table


@dataclass
class Row:
    """What became of one fault: how it ended, and the words that a user saw."""

    fault: str
    what: str
    outcome: str
    said: str
    seconds: float
    date: str = ""


@dataclass(frozen=True)
class Done:
    """A command of the user: its exit code and all that it wrote."""

    code: int
    text: str

    def words(self, *wanted: str) -> str:
        """The line in which the first of these stands; all of them have to be somewhere."""
        for word in wanted:
            assert word in self.text, f"no {word!r} in: {self.text[-3000:]}"
        line = next(line for line in self.text.splitlines() if wanted[0] in line)
        return " ".join(line.split())


@dataclass
class Scene:
    """The stack, its account and its lab, and the user's commands."""

    folder: Path
    lab: Lab
    account: Emulated | None = None
    background: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, *words: str, code: int | None = 0) -> Done:
        """Run `provision WORDS` to its end."""
        process = self.begin(*words)
        text, _ = process.communicate(timeout=_PATIENCE)
        done = Done(process.returncode, text)
        assert code is None or done.code == code, f"{words}: {done.code}: {text[-3000:]}"
        return done

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Run it beside what comes next."""
        return subprocess.Popen(
            [sys.executable, "-m", "provision", *words], cwd=self.folder, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def client(self, service: str) -> Any:
        """The account, with the rights of its keeper."""
        if self.account is None:
            self.account = emulator.find(self.folder / ".provision" / NAME / "aws" / "emulator")
        assert self.account is not None
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.account.endpoint,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def machines(self) -> list[dict[str, Any]]:
        """Those that are there, or on their way."""
        states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        found = self.client("ec2").describe_instances(Filters=states)["Reservations"]
        return [instance for each in found for instance in each["Instances"]]

    @property
    def instance(self) -> str:
        """The stack's machine."""
        return str(self.machines()[0]["InstanceId"])

    @property
    def bucket(self) -> str:
        """The stack's bucket."""
        names = [b["Name"] for b in self.client("s3").list_buckets()["Buckets"]]
        return str(next(name for name in names if name.startswith(f"provision-{NAME}-")))

    def report(self, instance: str) -> BootReport | None:
        """What a machine has told the bucket."""
        s3 = self.client("s3")
        try:
            found = s3.get_object(Bucket=self.bucket, Key=report_key(instance))
        except s3.exceptions.NoSuchKey:
            return None
        return BootReport.from_json(found["Body"].read().decode())

    def inside(self, script: str, *, code: int | None = 0) -> str:
        """Run a shell's lines as root in the machine."""
        done = self.lab.run(self.instance, ["bash", "-c", script])
        assert code is None or done.code == code, (script, done)
        return done.out + done.err

    def lose(self) -> None:
        """Lose the machine with its disk: the next `up` makes and boots another one."""
        self.client("ec2").terminate_instances(InstanceIds=[self.instance])
        until(lambda: not self.machines(), "it is gone")

    def works(self) -> Done:
        """A client can do everything."""
        done = self.command("check", code=None)
        deadline = time.monotonic() + 120
        while done.code != 0 and time.monotonic() < deadline:
            time.sleep(2)
            done = self.command("check", code=None)
        assert done.code == 0, done.text
        return done

    def finished(self, process: subprocess.Popen[str], code: int = 0) -> Done:
        """Wait for a command that was begun."""
        text, _ = process.communicate(timeout=_PATIENCE)
        assert process.returncode == code, f"{process.returncode}: {text[-3000:]}"
        return Done(process.returncode, text)


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """A folder for one stack; whatever is in it is taken away at the end."""
    with tempfile.TemporaryDirectory(prefix="provision-faults-") as name:
        folder = Path(name)
        (folder / "provision.yaml").write_text(SPEC, encoding="utf-8")
        paths = folder / ".provision" / NAME / "aws"
        made = Scene(folder, Lab(paths / "lab", paths / "emulator", os.environ, REGION))
        try:
            yield made
        finally:
            made.lab.down()
            emulator.stop(paths / "emulator")


def page(rows: Sequence[Row]) -> str:
    """The page that is made of what was seen."""
    lines = [
        "# Faults, injected into a machine that really boots",
        "",
        "<!-- Made by `make faults` from what it saw; do not edit. -->",
        "",
        "Each one is done to a stack that `target: rehearsal` brought up, in",
        "[a lab](../rehearsal.md). *survived*: everything works again once the cause is gone,",
        "without a hand. *named*: the user's own commands say what it is. The words are theirs.",
        "",
        "| fault | ends as | what the user sees | seconds |",
        "|---|---|---|---|",
    ]
    for row in rows:
        said = shorten(row.said, _MOST, placeholder=" ...").replace("|", "\\|")
        lines.append(f"| {row.what} | {row.outcome} | {said} | {row.seconds:.0f} |")
    dates = sorted({row.date for row in rows})
    return "\n".join([*lines, "", f"Run on {' and '.join(dates)}; busy machines take longer.", ""])


def read() -> dict[str, Row]:
    """What was seen before, by fault."""
    if not RESULTS.exists():
        return {}
    return {raw["fault"]: Row(**raw) for raw in json.loads(RESULTS.read_text(encoding="utf-8"))}


def keep(rows: dict[str, Row], order: Sequence[str]) -> None:
    """Write results and page, in the order of the cases."""
    sorted_rows = [rows[name] for name in order if name in rows]
    raw = json.dumps([asdict(row) for row in sorted_rows], indent=1)
    RESULTS.write_text(raw + "\n", encoding="utf-8")
    PAGE.write_text(page(sorted_rows), encoding="utf-8")


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def ending(scene: Scene, case: Case) -> Row | None:
    """Do it; `None`, after a traceback for whoever watches, where it was neither end."""
    began = time.monotonic()
    try:
        if case.needs_stack and not scene.lab.is_up:
            scene.command("up", "--yes")
        outcome, said = case.act(scene)
    except Exception:
        traceback.print_exc()
        return None
    finally:
        if scene.lab.is_up:
            scene.lab.mend()
    taken, today = time.monotonic() - began, datetime.now(UTC).date().isoformat()
    return Row(case.name, case.what, outcome, said, round(taken), today)


def main(names: Sequence[str]) -> int:
    """Run these, or all; returns the exit code: 1 where one failed, 2 for a name of none."""
    from tests.lab.fault_cases import CASES

    known = [case.name for case in CASES]
    if unknown := set(names) - set(known):
        say(f"no fault is named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 2
    failed = []
    with scene() as made:
        for case in CASES:
            if names and case.name not in names:
                continue
            say(f"--- {case.name}: {case.what}")
            rows = read()
            rows.pop(case.name, None)  # what an earlier run saw of it is no proof any more
            if row := ending(made, case):
                rows[case.name] = row
                say(f"    {row.outcome} in {row.seconds:.0f} s: {row.said}")
            else:
                failed.append(case.name)
            keep(rows, known)
    say(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
