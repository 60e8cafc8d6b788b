"""How a client gets in. Every rung of the ladder ends in one of these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """An MLflow basic-auth account; the password stays in its file of mode 0600."""

    username: str
    password_file: Path


@dataclass(frozen=True)
class Endpoint:
    """What a client needs to reach one tracking server.

    `uri` is the tracking URI: `http(s)://host:port`, or `sqlite:////abs/path` where there is no
    server. `aliases` are tracking URIs of the same server for other machines, the best first.
    `direct`: large files go between client and store by addresses that the server signs.
    `artifact_root` is set only without a server, when clients write artifacts themselves.
    """

    name: str
    uri: str
    mlflow_version: str
    credentials: Credentials | None = None
    ca_file: Path | None = None
    artifact_root: Path | None = None
    aliases: tuple[str, ...] = ()
    direct: bool = False

    @property
    def has_server(self) -> bool:
        """False on rung 1, where clients open the database file themselves."""
        return self.uri.startswith(("http://", "https://"))
