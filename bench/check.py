"""A check of a healthy server beyond the server's own answers; a dead address, beside MLflow."""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine_line, table, write

ROUNDS = 7
LIMIT_SECONDS = 0.7
DEAD_LIMIT_SECONDS = 1200
BIN = Path(sys.executable).parent
CLIENT = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.start_run()
"""


def provision(folder: Path, *words: str) -> tuple[float, float, str]:
    """Wall and CPU seconds of one command, and what it printed."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [BIN / "provision", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu, done.stdout


def healthy(folder: Path) -> dict[str, float]:
    """Seconds of the whole command, and of them those in which it waited for the server."""
    (folder / "provision.yaml").write_text("name: check\nserver:\n  port: 5899\n")
    provision(folder, "up")
    whole, waited, own = [], [], []
    try:
        for number in range(ROUNDS + 1):
            seconds, cpu, out = provision(folder, "check", "--json")
            if number:
                whole.append(seconds)
                own.append(cpu)
                found = json.loads(out)["findings"]
                waited.append(sum(finding["milliseconds"] for finding in found) / 1000)
    finally:
        provision(folder, "down")
    beyond = [all_ - answers for all_, answers in zip(whole, waited, strict=True)]
    return {
        "cpu_s": statistics.median(own),
        "whole_s": statistics.median(whole),
        "server_s": statistics.median(waited),
        "beyond_s": statistics.median(beyond),
    }


class Dropping:
    """A port that drops packets, as a security group does: its queue of connections is full."""

    def __init__(self) -> None:
        self._full = socket.socket()
        self._full.bind(("127.0.0.1", 0))
        self._full.listen(0)
        self._waiting = [socket.socket() for _ in range(4)]
        for one in self._waiting:
            one.setblocking(False)
            one.connect_ex(self._full.getsockname())
        self.uri = f"http://127.0.0.1:{self._full.getsockname()[1]}"


def dead(folder: Path) -> dict[str, float | bool]:
    dropping = Dropping()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": dropping.uri}
    started = time.perf_counter()
    done = subprocess.run(
        [BIN / "provision", "check", "--client"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = time.perf_counter() - started
    assert "tcp.timed-out" in done.stdout, done.stdout
    started, ended = time.perf_counter(), True
    try:
        subprocess.run(
            [sys.executable, "-c", CLIENT, dropping.uri],
            cwd=folder, capture_output=True, timeout=DEAD_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        ended = False
    return {"check_s": ours, "mlflow_s": time.perf_counter() - started, "mlflow_ended": ended}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report(healthy(folder), dead(folder))


def report(alive: dict[str, float], gone: dict[str, float | bool]) -> None:
    more = "" if gone["mlflow_ended"] else "more than "
    text = (
        "# A check\n\n"
        f"{machine_line()}. Medians of {ROUNDS} whole commands against a server of the local rung. "
        f"Target: at most {LIMIT_SECONDS} s beyond what the server itself takes to answer, "
        "Python's start included; a dead address is answered within five seconds and that. Where "
        "other programs want the cores too, only the CPU time says what a quiet machine shows.\n\n"
        + table(
            ["what", "seconds"],
            [
                ["`provision check`, healthy, the whole command", f"{alive['whole_s']:.2f}"],
                ["of it, waiting for the server's answers", f"{alive['server_s']:.2f}"],
                ["beyond that", f"{alive['beyond_s']:.2f}"],
                ["the command's own CPU time, all of it", f"{alive['cpu_s']:.2f}"],
                ["`provision check --client`, an address that drops", f"{gone['check_s']:.1f}"],
                ["MLflow's own client there, to its error", f"{more}{gone['mlflow_s']:.0f}"],
            ],
        )
        + "\n"
    )
    write("check", text, {"healthy": alive, "dead": gone})


if __name__ == "__main__":
    main()
