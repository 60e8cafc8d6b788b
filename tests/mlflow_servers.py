"""Real `mlflow server` processes for tests, each on a port of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from provision.adapters.tracking import TrackingClient
from provision.model.endpoint import Endpoint
from provision.model.tracking import TrackingError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    scheme: str = "http",
    ca_file: Path | None = None,
) -> Iterator[str]:
    """A server with its SQLite file below `folder`; yields its tracking URI on 127.0.0.1."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", *arguments]
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    uri = f"{scheme}://127.0.0.1:{port}"
    try:
        wait_until_it_answers(Endpoint("test", uri, "", ca_file=ca_file), process, log)
        yield uri
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_it_answers(endpoint: Endpoint, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        with TrackingClient(endpoint, timeout=120) as client:
            try:
                client.probe()
                return
            except TrackingError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
    raise RuntimeError(f"mlflow server ended at once:\n{log.read_text()}")
