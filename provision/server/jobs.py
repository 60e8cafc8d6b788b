"""MLflow's job runner beside the server, started as `mlflow server` does it (`_run_server`)."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from importlib import import_module
from pathlib import Path

from provision.server import environment
from provision.server.lifeline import Lifeline
from provision.server.settings import ServerSettings

_QUEUE = "_MLFLOW_HUEY_STORAGE_PATH"


def prepare() -> Path:
    """Make the folder of the job queue, in memory where possible; the workers write there too."""
    shared = Path("/dev/shm")  # noqa: S108  (a private folder is made inside)
    folder = tempfile.mkdtemp(prefix="provision-jobs-", dir=shared if shared.is_dir() else None)
    os.environ[_QUEUE] = folder
    return Path(folder)


def start(settings: ServerSettings, lifeline: Lifeline, listener: socket.socket) -> int:
    """Start the job runner under a guard that ends it with this process; returns the guard's id.

    MLflow's own watcher would leave the runner's children behind.
    """
    utils = import_module("mlflow.server.jobs.utils")
    variables = _variables(settings)
    master = os.getpid()
    return lifeline.guard(lambda: utils._launch_job_execution_runner(variables, master), listener)


def _variables(settings: ServerSettings) -> dict[str, str]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    return {
        "MLFLOW_BACKEND_STORE_URI": settings.database_url,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": environment.ARTIFACT_ROOT,
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_GATEWAY_URI": address,
    }


def clean(folder: Path) -> None:
    """Remove the queue's folder; unfinished jobs are in the database and come back from there."""
    shutil.rmtree(folder, ignore_errors=True)
