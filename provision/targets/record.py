"""What a stack remembers about itself between commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

SCHEMA = "provision.stack/1"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, never a default
"""Addresses that mean all of this machine's, and the one that a local client uses instead."""


def netloc(name: str) -> str:
    """A host name or address as it stands in a URI."""
    return f"[{name}]" if ":" in name else name


@dataclass(frozen=True)
class StackRecord:
    """What was asked for and where it listens.

    `fingerprint` is a digest of the settings that the running server was started with;
    `port` survives restarts, so that the tracking URI does too. `python` is the interpreter whose
    environment has the server's MLflow.
    """

    name: str
    target: str
    scenario: str
    spec_file: str
    listen: str
    port: int
    engine: str
    auth: str
    artifacts: str
    mlflow_version: str
    sizing: str
    fingerprint: str
    database_port: int = 0
    created_at: str = ""
    python: str = ""

    @property
    def uri(self) -> str:
        """The tracking URI for clients on this machine; empty where there is no server."""
        host = ANY_ADDRESS.get(self.listen, self.listen)
        if self.target == "compose":
            # A name, as its certificate is found by one; an address gets another one's.
            own = host in ("127.0.0.1", "::1")
            return f"https://{'localhost' if own else netloc(host)}:{self.port}"
        return f"http://{netloc(host)}:{self.port}" if host else ""

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> StackRecord | None:
        """The stored record; `None` where there is none, or none that this version can read."""
        if value is None or value.get("schema") != SCHEMA:
            return None
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{key: item for key, item in value.items() if key in known})
        except TypeError:
            return None
