"""`GET /provision/status`: what the server knows about itself, behind MLflow's host check and auth.

MLflow's `/health` says OK while the database is gone; this route asks the database and the
artifact store, and answers 503 when either fails.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.pool import NullPool

from provision._version import __version__
from provision.server.boot_report import now
from provision.server.failures import first_line
from provision.server.settings import ServerSettings

if TYPE_CHECKING:
    from flask import Flask

PATH = "/provision/status"
SCHEMA = "provision.server-status/1"

_SECONDS = 3
_OF_A_MODEL = ("model", "version", "health", "rejected", "reason")

_COUNTS = {
    "experiments": "SELECT count(*) FROM experiments WHERE lifecycle_stage = 'active'",
    "runs": "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'",
    # Prompts live in the same table and are told apart by a tag.
    "registered_models": (
        "SELECT count(*) FROM registered_models m WHERE NOT EXISTS (SELECT 1 FROM "
        "registered_model_tags t WHERE t.name = m.name AND t.workspace = m.workspace "
        "AND t.key = 'mlflow.prompt.is_prompt' AND lower(t.value) = 'true')"
    ),
}

# Bytes, and how many connections there are and may be.
_SIZES = {
    "sqlite": {
        "bytes": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    },
    "postgresql": {
        "bytes": "SELECT pg_database_size(current_database())",
        "connections": "SELECT sum(numbackends) FROM pg_stat_database",
        "connections_most": "SELECT current_setting('max_connections')",
    },
}


@dataclass(frozen=True)
class _Database:
    facts: dict[str, Any]
    counts: dict[str, int] | None


def add(app: Flask, settings: ServerSettings) -> None:
    """Add the route to MLflow's Flask application; call it before the first request."""
    started_at = now()
    engine = _engine(settings.database_url)

    def provision_status() -> tuple[dict[str, Any], int]:
        document = _document(engine, settings, started_at)
        return document, 200 if document["state"] == "ok" else 503

    app.add_url_rule(PATH, "provision_status", provision_status, methods=["GET"])


def _document(engine: Engine, settings: ServerSettings, started_at: str) -> dict[str, Any]:
    import mlflow  # noqa: PLC0415

    destination = settings.artifacts_destination
    database = _database(engine)
    problem = _artifact_problem(destination)
    healthy = database.facts["ok"] and problem is None
    return {
        "schema": SCHEMA,
        "state": "ok" if healthy else "degraded",
        "mlflow_version": mlflow.__version__,
        "provision_version": __version__,
        "started_at": started_at,
        "database": database.facts,
        "artifacts": {"ok": problem is None, "error": problem},
        "machine": machine_facts(destination),
        "counts": database.counts,
        "models": _models(settings.models),
    }


def _models(folder: str) -> list[dict[str, str]]:
    """How the services of models say that they are."""
    said = []
    for path in sorted(Path(folder).glob("*/state.json")) if folder else []:
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            said.append({name: str(state[name]) for name in _OF_A_MODEL})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return said


def _engine(url: str) -> Engine:
    # A connection of its own for each call: the pool may be exhausted just when someone asks, and
    # a database that hangs has to be told from one that is slow.
    arguments: dict[str, Any] = {"timeout": _SECONDS}
    if not url.startswith("sqlite:"):
        options = f"-c statement_timeout={_SECONDS * 1000}"
        arguments = {"connect_timeout": _SECONDS, "options": options}
    return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=arguments)


def _database(engine: Engine) -> _Database:
    began = time.perf_counter()
    revision, counts, problem, size = None, None, None, {}
    try:
        with engine.connect() as connection:
            revision = _scalar(connection, "SELECT version_num FROM alembic_version")
            counts = {name: int(_scalar(connection, sql)) for name, sql in _COUNTS.items()}
            sizes = _SIZES.get(engine.dialect.name, {})
            size = {name: int(_scalar(connection, sql)) for name, sql in sizes.items()}
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        problem = first_line(error)
    facts = {
        "kind": engine.dialect.name,
        "ok": problem is None,
        "milliseconds": round((time.perf_counter() - began) * 1000, 1),
        "revision": revision,
        "error": problem,
        **size,
    }
    return _Database(facts, counts)


def _scalar(connection: Connection, statement: str) -> Any:
    return connection.execute(sqlalchemy.text(statement)).scalar()


def _artifact_problem(destination: str) -> str | None:
    folder = _folder(destination)
    try:
        return _remote_problem() if folder is None else _folder_problem(folder)
    # Each artifact store raises errors of its own; all of them mean the same here.
    except Exception as error:
        return first_line(error)


def _folder(destination: str) -> Path | None:
    parts = urlsplit(destination)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(destination) if parts.scheme == "" else None


def _folder_problem(folder: Path) -> str | None:
    # os.access() says yes on a full disk, and to root on everything.
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".provision-status-", dir=folder)
    try:
        os.write(handle, b"x")
    finally:
        os.close(handle)
        Path(name).unlink()
    return None


def _remote_problem() -> str | None:
    handlers = import_module("mlflow.server.handlers")
    handlers._get_artifact_repo_mlflow_artifacts().list_artifacts("provision-status")
    return None


def machine_facts(destination: str) -> dict[str, int]:
    """Bytes of the disk that holds the artifacts (or the root's), and of memory."""
    folder = _folder(destination)
    disk = os.statvfs(folder if folder is not None and folder.exists() else "/")
    facts = {
        "disk_bytes": disk.f_blocks * disk.f_frsize,
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
    }
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        facts["memory_bytes"] = int(lines["MemTotal"].split()[0]) * 1024
        facts["memory_available_bytes"] = int(lines["MemAvailable"].split()[0]) * 1024
    return facts
