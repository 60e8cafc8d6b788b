"""Our server and MLflow's own as real processes, and plain HTTP to both."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from provision.server.settings import AuthSettings, ServerSettings
from tests.mlflow_servers import free_port

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"
PROJECT = Path(__file__).parent.parent.parent
ADMIN = ("admin", "a-long-enough-password")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    user: tuple[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own; a body that is no bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        return _send(connection, method, path, body, dict(headers or {}), user)
    finally:
        connection.close()


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any,
    sent: dict[str, str],
    user: tuple[str, str] | None,
) -> Answer:
    if body is not None and not isinstance(body, bytes) and not hasattr(body, "__next__"):
        body = json.dumps(body)
        sent.setdefault("Content-Type", "application/json")
    if user:
        sent["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    connection.request(method, path, body, sent, encode_chunked=hasattr(body, "__next__"))
    response = connection.getresponse()
    received = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, received, response.read())


def settings_for(folder: Path, **changes: Any) -> ServerSettings:
    """Settings for a server on SQLite with all its files below `folder`."""
    plain = ServerSettings(
        host="127.0.0.1",
        port=free_port(),
        workers=1,
        threads=4,
        pool_size=4,
        max_overflow=2,
        database_url=f"sqlite:///{folder}/mlflow.db",
        artifacts_destination=str(folder / "artifacts"),
        boot_report=str(folder / "boot.json"),
        backup_dir=str(folder / "backups"),
    )
    return replace(plain, **changes)


def auth_for(folder: Path, url: str | None = None) -> AuthSettings:
    (folder / "admin-password").write_text(ADMIN[1])
    (folder / "secret-key").write_text("a key for tests")
    return AuthSettings(
        admin_username=ADMIN[0],
        admin_password_file=str(folder / "admin-password"),
        secret_key_file=str(folder / "secret-key"),
        database_url=url or f"sqlite:///{folder}/auth.db",
        config_file=str(folder / "auth.ini"),
    )


@dataclass
class Server:
    """A running server; `process` is its master."""

    settings: ServerSettings
    process: subprocess.Popen[bytes]
    log: Path

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return call(self.settings.port, method, path, body, **more)

    def report(self) -> dict[str, Any]:
        """The boot report of this process; that of an earlier one counts as none."""
        try:
            document = json.loads(Path(self.settings.boot_report).read_text())
        except FileNotFoundError:
            return {}
        return document if document["pid"] == self.process.pid else {}

    def wait_until_ready(self) -> None:
        while self.report().get("state") != "ready":
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log.read_text()}")
            time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def launch(
    folder: Path, settings: ServerSettings, *, inside: Sequence[str] = (), **more: Any
) -> Server:
    """Start a server; `inside` is a program that runs the command given to it in its own place."""
    path = folder / "settings.json"
    settings.save(path)
    log = folder / "server.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(PROJECT)}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", "provision.server", str(path)],
            cwd=folder,
            env=environment | more.pop("environment", {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more,
        )
    return Server(settings, process, log)


@contextlib.contextmanager
def serving(folder: Path, settings: ServerSettings, **more: Any) -> Iterator[Server]:
    server = launch(folder, settings, **more)
    try:
        server.wait_until_ready()
        yield server
    finally:
        end(server.process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and whatever it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()


def failure_of(folder: Path, settings: ServerSettings, **more: Any) -> tuple[int, dict[str, Any]]:
    """Start a server that cannot start: its exit code and the error in its boot report."""
    server = launch(folder, settings, **more)
    code = server.process.wait(timeout=180)
    report = server.report()
    assert report["state"] == "failed", server.log.read_text()
    return code, dict(report["error"])


def create(server: Server, name: str, **more: Any) -> None:
    path = "/api/2.0/mlflow/experiments/create"
    assert server.call("POST", path, {"name": name}, **more).status == 200


def names(server: Server) -> set[str]:
    found = server.call("GET", SEARCH).json()["experiments"]
    return {experiment["name"] for experiment in found}


def stop(server: Server) -> int:
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(timeout=60)


def database_with_data(folder: Path) -> Path:
    with serving(folder, settings_for(folder)) as server:
        create(server, "kept")
        stop(server)
    return folder / "mlflow.db"


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


@contextlib.contextmanager
def stock_server(folder: Path, *arguments: str, **environment: str) -> Iterator[int]:
    """`mlflow server` with one worker and no job runner, on SQLite; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), *arguments]
    plain = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "server.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=plain | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_health(port, process)
        yield port
    finally:
        end(process)


def _wait_for_health(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError):
            if call(port, "GET", "/health").status == 200:
                return
        time.sleep(0.1)
    raise AssertionError("mlflow server ended at once")
