"""What the server process is told: one JSON file, written before it starts and read once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.server.failures import BootError

_PERMISSIONS = ("READ", "NO_PERMISSIONS")


@dataclass(frozen=True)
class AuthSettings:
    """Basic auth: who the first admin is, and the files that hold the secrets (never their values).

    `config_file` is written by the server (mode 0600): MLflow reads its auth settings from an ini.
    `default_permission` (READ or NO_PERMISSIONS) is what an account may do with what it neither
    made nor was given.
    """

    admin_username: str
    admin_password_file: str
    secret_key_file: str
    database_url: str
    config_file: str
    default_permission: str = "READ"


@dataclass(frozen=True)
class ServerSettings:
    """Everything the server process needs; every path is absolute, no value is a secret.

    `pool_size` and `max_overflow` count database connections per worker. `allowed_hosts` are the
    Host headers that are answered, with their port; an empty list means MLflow's default (this
    machine and the private networks). `local_artifact_root` names the folder whose absolute paths
    in a SQLite file become served locations at the start; it must lie in `artifacts_destination`.
    The passphrase in `gateway_passphrase_file` encrypts the API keys that MLflow's gateway keeps.
    Without `direct_artifacts`, clients are not invited to fetch from the artifact store by
    presigned URLs. `backed_up_elsewhere`: an upgrade need not write a dump, as whoever runs the
    database keeps backups. `models` is the folder in which the services of models tell how they
    are; empty where none can be.
    """

    host: str
    port: int
    workers: int
    threads: int
    pool_size: int
    max_overflow: int
    database_url: str
    artifacts_destination: str
    boot_report: str
    backup_dir: str
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    auth: AuthSettings | None = None
    job_runner: bool = False
    upgrade_database: bool = False
    pg_dump: str | None = None
    local_artifact_root: str | None = None
    gateway_passphrase_file: str | None = None
    direct_artifacts: bool = True
    backed_up_elsewhere: bool = False
    models: str = ""

    @classmethod
    def load(cls, path: Path) -> ServerSettings:
        """Read the settings; raises BootError `settings-invalid` naming what is wrong."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            settings = cls(**_converted(raw))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise _invalid(path, str(error)) from error
        if problem := settings._problem():
            raise _invalid(path, problem)
        return settings

    def save(self, path: Path) -> None:
        """Write the settings with mode 0600; a reader sees the old file or the new, never half."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream, indent=2)
        part.replace(path)

    @property
    def is_sqlite(self) -> bool:
        """Whether the backend store is a SQLite file."""
        return self.database_url.startswith("sqlite:")

    @property
    def served_prefix(self) -> str:
        """Where `local_artifact_root` lies inside the artifact destination; "" when they match."""
        root = Path(self.local_artifact_root or self.artifacts_destination)
        relative = root.relative_to(self.artifacts_destination).as_posix()
        return "" if relative == "." else relative

    def _problem(self) -> str:
        urls = [self.database_url, *([self.auth.database_url] if self.auth else [])]
        if any(urlsplit(url).password for url in urls):
            return "a database URL holds a password; point to it with `passfile=` instead"
        if min(self.workers, self.threads, self.pool_size) < 1 or self.max_overflow < 0:
            return "workers, threads and pool_size start at 1, max_overflow at 0"
        if self.auth and self.auth.default_permission not in _PERMISSIONS:
            return f"default_permission {self.auth.default_permission} is none of {_PERMISSIONS}"
        root = self.local_artifact_root
        if root and not Path(root).is_relative_to(self.artifacts_destination):
            return f"local_artifact_root {root} lies outside {self.artifacts_destination}"
        return ""


def _converted(raw: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(raw)
    unknown = values.keys() - {field.name for field in fields(ServerSettings)}
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    for name in ("allowed_hosts", "allowed_origins"):
        values[name] = tuple(values.get(name, ()))
    if values.get("auth") is not None:
        values["auth"] = AuthSettings(**values["auth"])
    return values


def _invalid(path: Path, problem: str) -> BootError:
    return BootError(
        "settings-invalid",
        f"the server's settings in {path} cannot be used: {problem}",
        next_step="run `provision up`, which writes them anew",
    )
