"""The server that `provision up` starts against `mlflow server` as it comes, side by side.

Eight clients log runs as training scripts do. Both servers run on fresh databases of their own and
are measured in short slices, in turn: a shared machine changes its speed by the minute, so only
neighbouring slices can be compared, and the median of their ratios is what counts. Both get the
machine's defaults: ours the settings that `provision up` would work out here, MLflow's its own.

    python bench/server.py [--seconds 3] [--rounds 8]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from common import RESULTS, machine_line, table, write
from load import CLIENTS

from provision.adapters import postgres
from provision.adapters.processes import any_free_port
from provision.model.secrets import Secret
from provision.model.sizing import Machine, Wishes, size
from provision.server.settings import AuthSettings, ServerSettings

WARM_UP_SECONDS = 15.0
USER = ("admin", "a-long-enough-password")
PROJECT = Path(__file__).parent.parent
LOAD = Path(__file__).with_name("load.py")
QUIET_PERCENT = 15.0
QUIET_PATIENCE_SECONDS = 20.0
NAMES = {"stock": "`mlflow server`", "ours": "`provision up`"}
# Least ratio of requests per second; memory may be a fifth at most.
TARGETS = {"postgres": 3.0, "sqlite": 2.5, "postgres, basic auth": 25.0, "sqlite, basic auth": 25.0}
MEMORY_TARGET = 0.2


@dataclass(frozen=True)
class Sample:
    """One measurement: throughput, latency, CPU per request, memory and processes afterwards.

    `others` is what the machine was busy with before the load began, in percent of all cores.
    """

    requests: float
    p50: float
    p95: float
    cpu: float
    memory: float
    processes: int
    errors: int
    others: float


@dataclass(frozen=True)
class Place:
    """Where a server works: its folder, its port, its database, whether users must log in."""

    folder: Path
    port: int
    url: str
    auth: bool


def run_load(place: Place, seconds: float) -> dict[str, Any]:
    user = ":".join(USER) if place.auth else ""
    command = [sys.executable, str(LOAD), str(place.port), str(seconds), user]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


# --- the servers ----------------------------------------------------------------------------


def environment(place: Place) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place.folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def stock(place: Place) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(place.port), "--backend-store-uri", place.url]
    command += ["--artifacts-destination", str(place.folder / "artifacts")]
    more = {}
    if place.auth:
        command += ["--app-name", "basic-auth"]
        more = {
            "MLFLOW_AUTH_ADMIN_PASSWORD": USER[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for the benchmark",
        }
    return start(place, command, more)


def ours(place: Place) -> subprocess.Popen[bytes]:
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().total
    engine = "postgres" if place.url.startswith("postgres") else "sqlite"
    sizing = size(Wishes(engine=engine), Machine(memory=memory, cores=cores))
    settings = ServerSettings(
        host="127.0.0.1",
        port=place.port,
        workers=sizing.workers,
        threads=sizing.threads,
        pool_size=sizing.pool_size,
        max_overflow=sizing.max_overflow,
        database_url=place.url,
        artifacts_destination=str(place.folder / "artifacts"),
        boot_report=str(place.folder / "boot.json"),
        backup_dir=str(place.folder / "backups"),
        auth=auth_settings(place, engine) if place.auth else None,
        job_runner=sizing.job_runner,
    )
    path = place.folder / "settings.json"
    settings.save(path)
    command = [sys.executable, "-m", "provision.server", str(path)]
    # As the local target starts it.
    return start(place, command, {"PYTHONPATH": str(PROJECT), "MALLOC_ARENA_MAX": "2"})


def auth_settings(place: Place, engine: str) -> AuthSettings:
    (place.folder / "password").write_text(USER[1])
    (place.folder / "key").write_text("a key for the benchmark")
    return AuthSettings(
        admin_username=USER[0],
        admin_password_file=str(place.folder / "password"),
        secret_key_file=str(place.folder / "key"),
        database_url=place.url if engine == "postgres" else f"sqlite:///{place.folder}/auth.db",
        config_file=str(place.folder / "auth.ini"),
    )


def start(place: Place, command: list[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
    with (place.folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=place.folder, env=environment(place) | more,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def wait(place: Place, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    log = (place.folder / "server.log").read_text()
    raise RuntimeError(f"the server ended with {process.returncode}:\n{log}")


def quiet() -> float:
    """Wait until the machine is idle, so that nothing still starts and nobody else works.

    On a shared machine that may never be; then it is measured all the same, and reported.
    """
    deadline = time.monotonic() + QUIET_PATIENCE_SECONDS
    while True:
        busy = psutil.cpu_percent(interval=1.5)
        if busy <= QUIET_PERCENT or time.monotonic() > deadline:
            return busy


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def measure(place: Place, process: subprocess.Popen[bytes], seconds: float) -> Sample:
    others = quiet()
    before = cpu_seconds(family(process))
    found = run_load(place, seconds)
    processes = family(process)
    spent = cpu_seconds(processes) - before
    return Sample(
        requests=found["requests"] / found["seconds"],
        p50=found["p50"],
        p95=found["p95"],
        cpu=spent / found["requests"] * 1000,
        memory=sum(p.memory_full_info().pss for p in processes) / 1e6,
        processes=len(processes),
        errors=found["errors"],
        others=others,
    )


@contextlib.contextmanager
def serving(
    place: Place, begin: Callable[[Place], subprocess.Popen[bytes]]
) -> Iterator[subprocess.Popen[bytes]]:
    process = begin(place)
    try:
        wait(place, process)
        run_load(place, WARM_UP_SECONDS)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    # MLflow's job processes outlive their parent: all are found first, then all are ended.
    processes = family(process)
    for member in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(processes, timeout=10)


# --- the databases --------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(base: Path) -> Iterator[str]:
    """The private PostgreSQL of the local rung; yields its URL."""
    home = base / "postgres"
    home.mkdir()
    binaries, account = postgres.find_binaries(home / "data"), postgres.account_for(base)
    password = Secret("benchmark")
    if account.uid is not None:
        os.chown(home, account.uid, account.gid or 0)
    postgres.create_cluster(binaries, home / "data", account, role_password=password)
    port = any_free_port("127.0.0.1")
    postgres.write_server_config(home / "data", account, port=port, max_connections=300)
    passfile = base / "passfile"
    passfile.write_text(postgres.passfile_line(password))
    passfile.chmod(0o600)
    owner = {} if account.uid is None else {"user": account.uid, "group": account.gid or 0}
    process = subprocess.Popen(
        [binaries.program("postgres"), "-D", home / "data"], cwd=home,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, extra_groups=[] if owner else None,
        **owner,
    )  # fmt: skip
    try:
        yield postgres.connection_url(port, passfile)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def answering(url: str) -> str:
    """The same URL, once its database answers."""
    address = url.replace("postgresql+psycopg2", "postgresql")
    while True:
        with contextlib.suppress(psycopg2.OperationalError):
            psycopg2.connect(address).close()
            return url
        time.sleep(0.1)


@contextlib.contextmanager
def place_in(base: Path, kind: str) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(dir=base))
    folder.chmod(0o755)
    port, auth = any_free_port("127.0.0.1"), "auth" in kind
    if not kind.startswith("postgres"):
        yield Place(folder, port, f"sqlite:///{folder}/mlflow.db", auth)
        return
    with cluster(folder) as url:
        yield Place(folder, port, answering(url), auth)


# --- the table ------------------------------------------------------------------------------


def median(samples: list[Sample], name: str) -> float:
    return statistics.median(float(getattr(sample, name)) for sample in samples)


def row(kind: str, side: str, samples: list[Sample]) -> list[str]:
    return [
        kind, NAMES[side], f"{median(samples, 'requests'):.0f}",
        f"{median(samples, 'p50'):.0f} / {median(samples, 'p95'):.0f}",
        f"{median(samples, 'cpu'):.1f}", f"{median(samples, 'memory'):.0f}",
        f"{median(samples, 'processes'):.0f}", f"{sum(s.errors for s in samples)}",
    ]  # fmt: skip


def ratios(kind: str, found: dict[str, list[Sample]]) -> dict[str, float]:
    pairs = list(zip(found["ours"], found["stock"], strict=True))
    memory = median(found["ours"], "memory") / median(found["stock"], "memory")
    speeds = sorted(ours.requests / stock.requests for ours, stock in pairs)
    return {
        "speed": statistics.median(speeds),
        "slowest": speeds[0],
        "fastest": speeds[-1],
        "cpu": statistics.median(stock.cpu / ours.cpu for ours, stock in pairs),
        "memory": memory,
        "target": TARGETS[kind],
    }


def others(results: dict[str, dict[str, list[Sample]]]) -> float:
    return statistics.median(
        sample.others for found in results.values() for side in found.values() for sample in side
    )


def report(results: dict[str, dict[str, list[Sample]]], seconds: float, rounds: int) -> bool:
    rows, marks, numbers, good = [], [], {}, True
    for kind, found in results.items():
        rows += [row(kind, side, found[side]) for side in ("stock", "ours")]
        ratio = ratios(kind, found)
        held = ratio["speed"] >= ratio["target"] and ratio["memory"] <= MEMORY_TARGET
        good = good and held
        marks.append([
            kind, f"{ratio['speed']:.1f} x", f"{ratio['slowest']:.1f} to {ratio['fastest']:.1f}",
            f"{ratio['target']:g} x", f"1/{ratio['cpu']:.1f}",
            f"1/{1 / ratio['memory']:.1f}", "yes" if held else "no",
        ])  # fmt: skip
        samples = {side: [asdict(sample) for sample in found[side]] for side in found}
        numbers[kind] = {"ratios": ratio, "samples": samples}
    packages = ("mlflow", "sqlalchemy", "uvicorn", "gunicorn")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    head = ["database", "server", "requests/s", "p50 / p95 ms", "CPU ms/request", "memory MB",
            "processes", "errors"]  # fmt: skip
    marks_head = [
        "database",
        "requests/s",
        "pairs",
        "at least",
        "CPU per request",
        "memory",
        "held",
    ]
    text = (
        f"# Serving: {NAMES['ours']} against {NAMES['stock']}\n\n{machine_line()}. {versions}.\n\n"
        f"{CLIENTS} clients log runs, {rounds} times {seconds:g} s on each server in turn (each "
        "kind in a run of its own), both "
        "warmed up and on fresh databases of their own; medians, of the ratios those of "
        "neighbouring pairs. Memory is the proportional set size of all of "
        "the server's processes after the load, the database's not counted. Clients, server and "
        f"database share the cores; between the slices others used {others(results):.0f} % of them "
        "(median).\n\n"
        f"{table(head, rows)}\n\nThe ratios (memory: at most 1/{1 / MEMORY_TARGET:.0f}):\n\n"
        f"{table(marks_head, marks)}\n"
    )
    write("server", text, {"machine": machine_line(), "versions": versions, "results": numbers})
    return good


def compare(base: Path, kind: str, seconds: float, rounds: int) -> dict[str, list[Sample]]:
    """Both servers at once, measured in turn."""
    found: dict[str, list[Sample]] = {"stock": [], "ours": []}
    with contextlib.ExitStack() as stack:
        running = {}
        for side, begin in (("stock", stock), ("ours", ours)):
            place = stack.enter_context(place_in(base, kind))
            running[side] = (place, stack.enter_context(serving(place, begin)))
        for _ in range(rounds):
            for side, (place, process) in running.items():
                found[side].append(measure(place, process, seconds))
                print(kind, side, found[side][-1], file=sys.stderr, flush=True)
    return found


def leave(_signal: int, _frame: object) -> None:
    """End as after Ctrl-C, so that no server of a stopped measurement disturbs the next one."""
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", choices=TARGETS, help="measure one kind anew, keep the others")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    base = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    base.chmod(0o755)
    results: dict[str, dict[str, list[Sample]]] = {}
    try:
        for kind in [options.only] if options.only else TARGETS:
            results[kind] = compare(base, kind, options.seconds, options.rounds)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    every = {**(measured() if options.only else {}), **results}
    return 0 if report(every, options.seconds, options.rounds) else 1


def measured() -> dict[str, dict[str, list[Sample]]]:
    """The kinds of the committed table."""
    known = json.loads((RESULTS / "server.json").read_text(encoding="utf-8"))["results"]
    return {
        kind: {side: [Sample(**one) for one in samples] for side, samples in row["samples"].items()}
        for kind, row in known.items()
    }


if __name__ == "__main__":
    sys.exit(main())
