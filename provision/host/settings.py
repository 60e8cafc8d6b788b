"""What the host is told: `settings.json` of the bundle (`provision.host/1`). It holds no secret."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from provision.host.failures import HostError

SCHEMA: Final = "provision.host/1"

Artifacts = Literal["proxied", "direct"]
Packages = Literal["index", "bundled"]
Auth = Literal["basic", "none"]
Permission = Literal["READ", "NO_PERMISSIONS"]

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "artifacts": ("proxied", "direct"),
    "packages": ("index", "bundled"),
    "auth": ("basic", "none"),
    "default_permission": ("READ", "NO_PERMISSIONS"),
}
# They end up in files of other programs, as words between spaces or quotes.
_WORD: Final = re.compile(r"[A-Za-z0-9_.:/!+=@-]+")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")


@dataclass(frozen=True)
class HostSettings:
    """What makes one host the one that the spec asks for.

    `hosts` are the names and addresses that clients use, the tracking URI's first: its Elastic IP,
    or `domain`. `artifact_root` is an S3 URI; `admin_secret` a secret's name or ARN, empty without
    auth. `default_permission` is what accounts may do with what is not theirs. `memory` is in
    bytes; it, `workers` and `threads` are `None` for the arithmetic's choice. `extra_hosts` are
    answered too, in MLflow's syntax (`*.lab.example`), but get no certificate. `topic` is the ARN
    of what notices are published to, or empty; after `idle_hours` without a request the machine
    switches itself off, with 0 never. From the moment `archive_from` on (ISO 8601; empty: never) it
    archives its databases, as the account takes it down after its last day, `ends_on`.
    """

    name: str
    region: str
    bucket: str
    artifact_root: str
    database_identifier: str
    mlflow_version: str
    admin_secret: str
    hosts: tuple[str, ...]
    auth: Auth = "basic"
    default_permission: Permission = "READ"
    artifacts: Artifacts = "proxied"
    packages: Packages = "index"
    domain: str | None = None
    ssm: bool = False
    memory: int | None = None
    workers: int | None = None
    threads: int | None = None
    job_runner: bool = False
    upgrade_database: bool = True
    extra_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    topic: str = ""
    idle_hours: int = 0
    archive_from: str = ""
    ends_on: str = ""

    @property
    def host(self) -> str:
        """The name or address in the tracking URI."""
        return self.hosts[0]

    @classmethod
    def load(cls, path: Path) -> HostSettings:
        """Read the settings; raises HostError `settings-invalid` naming what is wrong."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise _invalid(str(path), str(error)) from error

    @classmethod
    def from_json(cls, text: str) -> HostSettings:
        """Read the settings from text; raises HostError `settings-invalid`."""
        try:
            raw = json.loads(text)
            if raw.pop("schema", None) != SCHEMA:
                raise ValueError(f"their schema is not {SCHEMA}")
            settings = cls(**{name: _tuple(value) for name, value in raw.items()})
            problem = settings._problem()
        except (ValueError, TypeError, AttributeError) as error:
            raise _invalid("settings.json", str(error)) from error
        if problem:
            raise _invalid("settings.json", problem)
        return settings

    def to_json(self) -> str:
        """The settings as the bundle holds them; the same settings give the same text."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    def _problem(self) -> str:
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                return f"{field} is {getattr(self, field)!r}, not one of {', '.join(choices)}"
        for field in ("name", "region", "bucket", "artifact_root", "database_identifier"):
            if not _WORD.fullmatch(getattr(self, field)):
                return f"{field} cannot be {getattr(self, field)!r}"
        names = (*self.hosts, *self.extra_hosts, *([self.domain] if self.domain else []))
        if not self.hosts or any(not _is_host(name) for name in names):
            return f"hosts are names and IP addresses, at least one, not {list(names)}"
        if self.auth == "basic" and not self.admin_secret:
            return "admin_secret is empty"
        return ""


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _HOST.fullmatch(name) is not None
    return True


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _invalid(where: str, problem: str) -> HostError:
    return HostError(
        "settings-invalid",
        f"the host's settings in {where} cannot be used: {problem}",
        next_step="`provision up` with the newest version of the kit, which writes them anew",
    )
