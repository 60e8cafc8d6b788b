"""The server that `provision up` starts against `mlflow server` with its defaults, side by side.

Both get a new database of the same kind and the same load; they take turns. Memory is the
proportional set size of the server's own processes after the load (a database's are left out on
both sides, the supervisor's is in). `python bench/server.py [--seconds S] [--rounds N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from common import machine_line, table, write

from provision.adapters import postgres
from provision.adapters.packages import installed_version
from provision.adapters.processes import any_free_port, marked
from provision.model.secrets import Secret

BIN = Path(sys.executable).parent
LOAD = Path(__file__).parent / "load.py"
WARM_UP_SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    name: str
    engine: str
    auth: bool
    target: float


CASES = (
    Case("SQLite", "sqlite", False, 2.5),
    Case("PostgreSQL", "postgres", False, 3.0),
    Case("SQLite, accounts", "sqlite", True, 25.0),
    Case("PostgreSQL, accounts", "postgres", True, 25.0),
)
MEMORY_TARGET = 0.2


@dataclass(frozen=True)
class Running:
    """A server to measure: where it listens, its processes, the file with `user:password`."""

    port: int
    family: list[psutil.Process]
    account: Path | None


def wait_for(port: int) -> None:
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)


@contextmanager
def stock(case: Case, folder: Path) -> Iterator[Running]:
    with _database(case, folder) as uri:
        port = any_free_port("127.0.0.1")
        command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", uri]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        environment, account = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, None
        if case.auth:
            command += ["--app-name", "basic-auth"]
            account = _stock_accounts(folder, environment, uri)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, start_new_session=True,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            wait_for(port)
            root = psutil.Process(process.pid)
            yield Running(port, [root, *root.children(recursive=True)], account)
        finally:
            _kill(process)


def _stock_accounts(folder: Path, environment: dict[str, str], uri: str) -> Path:
    password = secrets.token_hex(12)
    database = uri if uri.startswith("postgresql") else f"sqlite:///{folder}/users.db"
    config = folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = {database.replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment["MLFLOW_AUTH_CONFIG_PATH"] = str(config)
    environment["MLFLOW_AUTH_ADMIN_PASSWORD"] = password
    environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(12)
    account = folder / "account"
    account.write_text(f"admin:{password}")
    return account


def _kill(process: subprocess.Popen[bytes]) -> None:
    """MLflow's job processes outlive their parent, and have groups of their own: find them all."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in family:
        if child.is_running():
            child.kill()
    process.wait()


@contextmanager
def _database(case: Case, folder: Path) -> Iterator[str]:
    if case.engine == "sqlite":
        yield f"sqlite:///{folder}/mlflow.db"
        return
    cluster = folder / "postgres"
    binaries, account = postgres.find_binaries(cluster), postgres.account_for(folder)
    port, password = any_free_port("127.0.0.1"), Secret(secrets.token_hex(12))
    postgres.create_cluster(binaries, cluster, account, role_password=password)
    postgres.write_server_config(cluster, account, port=port, max_connections=200)
    passfile = folder / "pgpass"
    passfile.write_text(postgres.passfile_line(password))
    passfile.chmod(0o600)
    server = subprocess.Popen(
        [binaries.program("postgres"), "-D", "."], cwd=cluster, user=account.uid, group=account.gid,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)
    try:
        yield postgres.connection_url(port, passfile)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


@contextmanager
def ours(case: Case, folder: Path) -> Iterator[Running]:
    port = any_free_port("127.0.0.1")
    (folder / "provision.yaml").write_text(
        f"name: bench\nserver:\n  port: {port}\ndatabase:\n  engine: {case.engine}\n"
        f"access:\n  auth: {'basic' if case.auth else 'none'}\n"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    command = [BIN / "provision", "up", "-q"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    root = folder / ".provision/bench"
    account = None
    if case.auth:
        account = folder / "account"
        account.write_text("admin:" + (root / "secrets/admin-password").read_text().strip())
    try:
        family = [p for p in marked(root) if "postgres" not in p.name()]
        yield Running(port, family, account)
    finally:
        command = [BIN / "provision", "down", "-q"]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def load(running: Running, seconds: float) -> dict[str, Any]:
    command = [sys.executable, str(LOAD), str(running.port), str(seconds)]
    command += [str(running.account)] if running.account else []
    before = _cpu(running.family)
    result: dict[str, Any] = json.loads(subprocess.check_output(command))
    result["cpu_ms"] = (_cpu(running.family) - before) * 1000 / result["requests"]
    return result


def _cpu(family: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in family if process.is_running()]
    return sum(time.user + time.system for time in times)


def measure(case: Case, start: Any, seconds: float) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="provision-bench-"))
    folder.chmod(0o755)
    try:
        with start(case, folder) as running:
            load(running, WARM_UP_SECONDS)
            result = load(running, seconds)
            memory = sum(p.memory_full_info().pss for p in running.family if p.is_running())
            processes = sum(p.is_running() for p in running.family)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert result["errors"] == 0, result
    rate = result["requests"] / result["seconds"]
    return {**result, "rate": rate, "memory_mb": memory / 1e6, "processes": processes}


def middle(results: list[dict[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def row(name: str, server: str, m: dict[str, float], ratios: tuple[str, str]) -> list[str]:
    return [
        name, server, f"{m['rate']:.0f}", f"{m['p50_ms']:.0f} / {m['p95_ms']:.0f}",
        f"{m['cpu_ms']:.1f}", f"{m['memory_mb']:.0f}", f"{m['processes']:.0f}", *ratios,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows, data = [], {}
    for case in CASES:
        taken: dict[str, list[dict[str, Any]]] = {"stock": [], "ours": []}
        for _ in range(arguments.rounds):
            for name, start in (("stock", stock), ("ours", ours)):
                taken[name].append(measure(case, start, arguments.seconds))
        a, b = middle(taken["stock"]), middle(taken["ours"])
        rate, memory = b["rate"] / a["rate"], b["memory_mb"] / a["memory_mb"]
        rows.append(row(case.name, "`mlflow server`", a, ("1", "1")))
        rows.append(row(case.name, "`provision up`", b, (f"**{rate:.1f}**", f"**{memory:.2f}**")))
        data[case.name] = {"rate": rate, "memory": memory, "target": case.target, **taken}
        print(rows[-2], rows[-1], sep="\n", file=sys.stderr)
    head = ["database", "server", "requests/s", "p50 / p95 ms", "CPU ms per request"]
    head += ["memory MB", "processes", "times the requests", "times the memory"]
    targets = ", ".join(f"{case.name} {case.target:g}" for case in CASES)
    text = (
        "# `provision up` against `mlflow server` with its defaults\n\n"
        f"{machine_line()}. MLflow {installed_version('mlflow')}. Eight clients log runs; medians "
        f"of {arguments.rounds} rounds of {arguments.seconds:g} s after a warm-up, the two in "
        f"turn. Targets, in times the requests: {targets}; at most {MEMORY_TARGET:g} times the "
        "memory.\n\n" + table(head, rows) + "\n"
    )
    write("server", text, data)


if __name__ == "__main__":
    main()
