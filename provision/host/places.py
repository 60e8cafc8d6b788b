"""Where everything is on the host; `root` is another folder than `/` in tests and rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SERVER_USER = "mlflow"
SERVING_USER = "mlflow-serving"


@dataclass(frozen=True)
class Places:
    """The files and folders that the bootstrap makes."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """An absolute path of the machine."""
        return self.root / path.lstrip("/")

    @property
    def user(self) -> str:
        """Who owns the server's files: its user, but nobody else than whoever runs in a folder."""
        return SERVER_USER if self.root == Path("/") else ""

    @property
    def serving_user(self) -> str:
        """Who owns what the programs in front of models write."""
        return SERVING_USER if self.user else ""

    @property
    def code(self) -> Path:
        """Root's: bundles, environments, uv."""
        return self.at("/opt/provision")

    @property
    def bundle(self) -> Path:
        """What the loader fetched last."""
        return self.code / "bundle"

    @property
    def python(self) -> Path:
        """The server's own Python, of the current environment."""
        return self.code / "venv" / "bin" / "python"

    @property
    def settings(self) -> Path:
        """What the server and the bootstrap read; the server's group may look, not write."""
        return self.at("/etc/provision")

    @property
    def stack(self) -> Path:
        """Written by cloud-init from the user data."""
        return self.settings / "stack.json"

    @property
    def server_settings(self) -> Path:
        """What the server program is started with."""
        return self.settings / "server.json"

    @property
    def database_ca(self) -> Path:
        """The certificate authorities of RDS."""
        return self.settings / "rds-ca.pem"

    @property
    def passfile(self) -> Path:
        """Read by libpq at each new connection; it insists on an owner and mode 0600."""
        return self.settings / "database.pass"

    @property
    def admin_password(self) -> Path:
        """The first admin's password, as Secrets Manager has it."""
        return self.settings / "admin-password"

    @property
    def state(self) -> Path:
        """Root's memory between runs: the boot report and what was applied."""
        return self.at("/var/lib/provision")

    @property
    def report(self) -> Path:
        """The boot report."""
        return self.state / "boot.json"

    @property
    def log(self) -> Path:
        """The boot log of the last run."""
        return self.state / "boot.log"

    @property
    def server(self) -> Path:
        """The server's only writable folder."""
        return self.state / "server"

    @property
    def models_list(self) -> Path:
        """Which models are served."""
        return self.state / "models.json"

    @property
    def models(self) -> Path:
        """A folder for each model that is served."""
        return self.state / "models"

    @property
    def server_report(self) -> Path:
        """How far the server program itself has come."""
        return self.server / "boot.json"

    @property
    def ca(self) -> Path:
        """The root certificate of Caddy's internal authority."""
        folder = self.at("/var/lib/caddy/.local/share/caddy/pki/authorities/local")
        return folder / "root.crt"

    @property
    def public_ca(self) -> Path:
        """The same certificate, where the readiness check reads it."""
        return self.state / "ca.pem"

    @property
    def lock(self) -> Path:
        """Held by the one bootstrap that runs."""
        return self.at("/run/provision-host.lock")
