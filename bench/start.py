"""From `provision up` to a passing check, against the time to the first answer of `mlflow server`.

Each start has a folder of its own, so both create their database. `mlflow server` is timed until
its API answers for the first time; `provision up` until it has returned, check included.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from common import machine_line, table, write

from provision.adapters.processes import any_free_port

ROUNDS = 5
LIMIT = 1.3
BIN = Path(sys.executable).parent


def first_answer(port: int) -> None:
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.02)


def stock(folder: Path) -> float:
    port = any_free_port("127.0.0.1")
    command = [BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first_answer(port)
    taken = time.perf_counter() - started
    _stop_session(process)
    return taken


def _stop_session(process: subprocess.Popen[bytes]) -> None:
    """MLflow's job processes outlive their parent, and have groups of their own: find them all."""
    import psutil

    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in family:
        if child.is_running():
            child.kill()
    process.wait()


def ours(folder: Path) -> float:
    port = any_free_port("127.0.0.1")
    (folder / "provision.yaml").write_text(f"name: bench\nserver:\n  port: {port}\n")
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    started = time.perf_counter()
    subprocess.run(
        [BIN / "provision", "up", "-q"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    taken = time.perf_counter() - started
    subprocess.run(
        [BIN / "provision", "down", "-q"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return taken


def main() -> None:
    taken: dict[str, list[float]] = {"mlflow server": [], "provision up": []}
    for number in range(ROUNDS + 1):
        for name, start in (("mlflow server", stock), ("provision up", ours)):
            folder = Path(tempfile.mkdtemp(prefix="provision-bench-"))
            seconds = start(folder)
            shutil.rmtree(folder, ignore_errors=True)
            if number:
                taken[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratio = medians["provision up"] / medians["mlflow server"]
    rows = [
        ["`mlflow server` to its API's first answer", f"{medians['mlflow server']:.1f}", "1"],
        [
            "`provision up`, a passing check included",
            f"{medians['provision up']:.1f}",
            f"{ratio:.2f}",
        ],
    ]
    text = (
        "# From nothing to a working server\n\n"
        f"{machine_line()}. Medians of {ROUNDS} starts, in turn, each on a new SQLite file. "
        f"Target: at most {LIMIT} times `mlflow server`.\n\n"
        + table(["start", "seconds", "ratio"], rows)
        + "\n"
    )
    write("start", text, {"seconds": taken, "ratio": ratio})


if __name__ == "__main__":
    main()
