"""Where a stack keeps its things, below one folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths of one stack. `root` is `.provision/NAME` unless a state folder was given."""

    root: Path
    artifacts: Path

    @classmethod
    def below(cls, state_dir: Path, name: str, artifacts: Path | None = None) -> Layout:
        """The layout of stack `name`; with `artifacts`, its artifacts go into that folder.

        There they get a folder of the stack's name: deleting a stack deletes what is its own, never
        a neighbour's files.
        """
        root = state_dir / name
        return cls(root=root, artifacts=artifacts / name if artifacts else root / "artifacts")

    @property
    def data(self) -> Path:
        """What must outlive everything else: databases."""
        return self.root / "data"

    @property
    def sqlite_file(self) -> Path:
        """The backend store on SQLite; rung 1's clients open it themselves."""
        return self.data / "mlflow.db"

    @property
    def auth_sqlite_file(self) -> Path:
        """MLflow's users and permissions, when the backend store is SQLite."""
        return self.data / "users.db"

    @property
    def cluster(self) -> Path:
        """The data directory of the private PostgreSQL."""
        return self.data / "postgres"

    @property
    def backups(self) -> Path:
        """Copies of a database, made before anything changes its schema."""
        return self.root / "backups"

    @property
    def before_upgrade(self) -> Path:
        """The databases as they were, while nobody knows yet whether clients can use the new."""
        return self.root / "upgrade" / "before"

    @property
    def logs(self) -> Path:
        """One file per process, rotated."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What only matters while it runs: settings, boot report, lock, sockets."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Files of mode 0600 in a folder of mode 0700."""
        return self.root / "secrets"

    @property
    def models(self) -> Path:
        """One folder for each model that runs as a service."""
        return self.root / "models"

    @property
    def settings_file(self) -> Path:
        """What the server program reads."""
        return self.run / "server.json"

    @property
    def boot_report(self) -> Path:
        """What the server program writes while it starts."""
        return self.run / "boot.json"

    @property
    def supervisor_config(self) -> Path:
        """What the supervisor reads."""
        return self.run / "supervisor.conf"

    @property
    def lock(self) -> Path:
        """Held by the one command that changes the stack."""
        return self.root / "lock"

    @property
    def record(self) -> Path:
        """What was asked for and where it listens; written before anything starts."""
        return self.root / "stack.json"

    @property
    def admin_password(self) -> Path:
        """The first administrator's password, with auth on."""
        return self.secrets / "admin-password"

    @property
    def people(self) -> Path:
        """The passwords of people's accounts, one file each, until they are handed out."""
        return self.root / "people"

    @property
    def session_key(self) -> Path:
        """The key that signs MLflow's browser sessions, with auth on."""
        return self.secrets / "session-key"

    @property
    def gateway_passphrase(self) -> Path:
        """What encrypts the API keys that MLflow's gateway keeps in the database."""
        return self.secrets / "gateway-passphrase"

    @property
    def auth_config(self) -> Path:
        """MLflow's basic-auth settings, which hold the first password until it is used."""
        return self.secrets / "basic-auth.ini"

    @property
    def pgpass(self) -> Path:
        """libpq's password file for the private PostgreSQL."""
        return self.secrets / "pgpass"
