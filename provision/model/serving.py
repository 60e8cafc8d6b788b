"""A registered model that runs as a service: which one, and how it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from provision.errors import UsageError

SCHEMA: Final = "provision.service/1"
_URI: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._@-]")
# It becomes part of a unit's name and of a socket's path, which has room for 107 characters.
_LONGEST_SLUG: Final = 48
ROUTE: Final = "/provision/models/"
"""Where a model answers that has no port of its own: below this, by its `slug`."""
LIST_KEY: Final = "provision/boot/models.json"
"""Where the bucket of a stack on AWS holds what its machine serves."""


@dataclass(frozen=True)
class ModelRef:
    """A version of a registered model, named by its number or by an alias that may move."""

    name: str
    alias: str = ""
    version: str = ""

    @classmethod
    def parse(cls, uri: str) -> ModelRef:
        """Read `models:/NAME@ALIAS` or `models:/NAME/VERSION`; raises UsageError otherwise."""
        found = _URI.fullmatch(uri)
        if found is None:
            raise UsageError(
                f"{uri}: not the address of a registered model",
                next_step="write models:/NAME@ALIAS, or models:/NAME/VERSION for one that stays",
            )
        return cls(found["name"], found["alias"] or "", found["version"] or "")

    @property
    def uri(self) -> str:
        """As MLflow writes it."""
        return f"models:/{self.name}{f'@{self.alias}' if self.alias else f'/{self.version}'}"

    @property
    def slug(self) -> str:
        """A name for files and logs, one per model and alias.

        A version's begins with `v`, which MLflow forbids for an alias
        (mlflow/utils/validation.py, `_validate_model_alias_name`).
        """
        plain = f"{self.name}@{self.alias or f'v{self.version}'}"
        safe = _UNSAFE.sub("-", plain)
        if safe == plain and len(plain) <= _LONGEST_SLUG:
            return plain
        digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
        return f"{safe[: _LONGEST_SLUG - len(digest) - 1]}-{digest}"


@dataclass(frozen=True)
class Served:
    """A model that a machine is to serve, with the MiB that all its versions may use together."""

    uri: str
    memory: int

    @property
    def ref(self) -> ModelRef:
        """Which model."""
        return ModelRef.parse(self.uri)


def served_from(text: str) -> tuple[Served, ...]:
    """Read what `served_text` wrote; nothing where it cannot be read."""
    try:
        raw = json.loads(text)["models"]
        return tuple(Served(str(entry["uri"]), int(entry["memory"])) for entry in raw)
    except (ValueError, KeyError, TypeError):
        return ()


def served_text(models: Sequence[Served]) -> str:
    """What is served, as it is stored."""
    return json.dumps({"schema": SCHEMA, "models": [asdict(model) for model in models]}) + "\n"


class ServiceHealth(StrEnum):
    """How far a service has come."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServiceState:
    """A service as it says itself.

    `version` is the one that answers; `files` where it lies. `rejected` is a newer version that
    was tried and not taken, `reason` why. `since` is ISO 8601 in UTC.
    """

    model: str
    uri: str
    health: ServiceHealth = ServiceHealth.STARTING
    version: str = ""
    files: str = ""
    since: str = ""
    rejected: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The state as it is stored."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> ServiceState | None:
        """The stored state; `None` where there is none that this version can read."""
        if value is None or value.get("schema") != SCHEMA:
            return None
        known = {field.name for field in fields(cls)}
        try:
            given = {key: item for key, item in value.items() if key in known}
            return cls(**{**given, "health": ServiceHealth(given["health"])})
        except (TypeError, ValueError, KeyError):
            return None
