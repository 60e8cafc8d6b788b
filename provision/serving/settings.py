"""What a service is told: one JSON file, written before it starts and read once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.model.endpoint import Credentials, Endpoint
from provision.model.serving import ModelRef


@dataclass(frozen=True)
class ServiceSettings:
    """Everything that the service needs; no value is a secret.

    `artifacts` is the folder behind the tracking server's `mlflow-artifacts:/`; empty where that is
    no folder of this machine, and files are fetched through the server. With a `username`, whoever
    wants to use the service must have an account that may read the model.

    With `socket`, the service listens at that Unix socket instead of host and port. With
    `starter`, versions run as the program behind that socket, which may do less than this one
    (`provision.serving.starter`), and `uv` is what makes an environment for a model that needs
    other packages than there are; empty where no package can be had.
    """

    model: str
    host: str
    port: int
    uri: str
    tracking_uri: str
    artifacts: str
    python: str
    allowed_hosts: tuple[str, ...] = ()
    username: str = ""
    password_file: str = ""
    look_seconds: float = 2.0
    socket: str = ""
    starter: str = ""
    uv: str = ""

    @classmethod
    def load(cls, path: Path) -> ServiceSettings | None:
        """Read what `to_json` wrote; `None` where there is nothing that this version can read."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**raw, "allowed_hosts": tuple(raw["allowed_hosts"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def to_json(self) -> dict[str, Any]:
        """The settings as they are stored."""
        return asdict(self)

    @property
    def ref(self) -> ModelRef:
        """Which model."""
        return ModelRef.parse(self.model)

    @property
    def endpoint(self) -> Endpoint:
        """The tracking server, with the account that looks the model up."""
        account = Credentials(self.username, Path(self.password_file)) if self.username else None
        return Endpoint(self.model, self.tracking_uri, "", credentials=account)
