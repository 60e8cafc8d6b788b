"""What the server on this machine is started with: a plain calculation, without I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from provision.errors import RefusedError
from provision.host.failures import HostError
from provision.host.places import Places
from provision.host.settings import HostSettings
from provision.model.sizing import Machine, Sizing, Wishes, size

PORT: Final = 5000
ROLE: Final = "mlflow"
DATABASE: Final = "mlflow"
ADMIN: Final = "admin"


@dataclass(frozen=True)
class Server:
    """A database's address with the machine it is used from; `models` have so many MiB of it."""

    address: str
    port: int
    instance: str
    machine: Machine
    models: int = 0


def application(instance: str) -> str:
    """The name under which this machine's connections show in the database."""
    return f"provision {instance}"


def database_url(server: Server, places: Places) -> str:
    """SQLAlchemy's URL, without a password: libpq reads it from the passfile each time.

    The time-outs keep a database that fell silent from holding requests for minutes: a new
    connection gives up after 5 s, an open one after 15 to 30 s (libpq's documentation, 34.1.2).
    """
    words = {
        "sslmode": "verify-full",
        "sslrootcert": str(places.database_ca),
        "passfile": str(places.passfile),
        "connect_timeout": "5",
        "keepalives": "1",
        "keepalives_idle": "15",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
        "application_name": application(server.instance),
        # The same from the other end: a machine that vanished is forgotten within half a minute,
        # or its successor would take it for a second host (PostgreSQL's own default: two hours).
        "options": "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 "
        "-c tcp_keepalives_count=3",
    }
    query = urlencode(words, quote_via=quote, safe="/")
    return f"postgresql+psycopg2://{ROLE}@{server.address}:{server.port}/{DATABASE}?{query}"


def sizing(settings: HostSettings, machine: Machine, models: int = 0) -> Sizing:
    """Workers, threads and pools for a machine that has nothing else to do, but for `models`.

    Raises HostError `too-small` with the numbers.
    """
    wishes = Wishes(
        "service", settings.memory, settings.workers, settings.threads, settings.job_runner,
        alone=True, models=models,
    )  # fmt: skip
    try:
        return size(wishes, machine)
    except RefusedError as error:
        raise HostError("too-small", error.message, next_step=error.next_step) from error


def server_file(settings: HostSettings, server: Server, places: Places) -> dict[str, Any]:
    """The server program's settings (`provision.server.settings.ServerSettings`) as JSON."""
    url, chosen = database_url(server, places), sizing(settings, server.machine, server.models)
    return {
        "host": "127.0.0.1",
        "port": PORT,
        "workers": chosen.workers,
        "threads": chosen.threads,
        "pool_size": chosen.pool_size,
        "max_overflow": chosen.max_overflow,
        "database_url": url,
        "artifacts_destination": settings.artifact_root,
        "boot_report": str(places.server_report),
        "backup_dir": str(places.server / "backups"),
        "allowed_hosts": allowed_hosts(settings),
        "allowed_origins": origins(settings),
        "auth": _auth(settings, places, url) if settings.auth == "basic" else None,
        "job_runner": chosen.job_runner,
        "upgrade_database": settings.upgrade_database,
        "gateway_passphrase_file": str(places.settings / "gateway-passphrase"),
        "direct_artifacts": settings.artifacts == "direct",
        "backed_up_elsewhere": True,
        "models": str(places.models),
    }


def _auth(settings: HostSettings, places: Places, url: str) -> dict[str, str]:
    return {
        "admin_username": ADMIN,
        "admin_password_file": str(places.admin_password),
        "secret_key_file": str(places.settings / "session-key"),
        "database_url": url,
        "config_file": str(places.server / "auth.ini"),
        "default_permission": settings.default_permission,
    }


def names(settings: HostSettings) -> list[str]:
    """The names and addresses that get a certificate, the tracking URI's first."""
    found = [settings.domain] if settings.domain else []
    return list(dict.fromkeys([*found, *settings.hosts]))


def allowed_hosts(settings: HostSettings) -> list[str]:
    """The Host headers that are answered: MLflow compares the whole one, port included."""
    every = [*map(netloc, names(settings)), *settings.extra_hosts, "localhost", "127.0.0.1"]
    return list(dict.fromkeys(h for name in every for h in _with_ports(name)))


def _with_ports(name: str) -> Iterable[str]:
    has_port = ":" in name.rpartition("]")[2]
    return (name,) if has_port else (name, f"{name}:443", f"{name}:*")


def origins(settings: HostSettings) -> list[str]:
    """Where pages may come from that change something: the server's own, and those of the spec.

    A browser names the origin in the UI's own requests too, and MLflow asks its list even then.
    """
    own = [f"https://{netloc(name)}" for name in names(settings)]
    return list(dict.fromkeys([*own, *settings.allowed_origins]))


def netloc(name: str) -> str:
    """A name or address as it stands in a URL."""
    try:
        return f"[{name}]" if ipaddress.ip_address(name).version == 6 else name
    except ValueError:
        return name
