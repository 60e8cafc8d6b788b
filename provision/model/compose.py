"""The Compose file and what lies beside it, worked out from a few facts; nothing is written here.

All names inside are fixed: the services find each other by them, and the volumes keep their data
under them (`PROJECT_database` and so on).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from provision.model.secrets import Secret

BUCKET: Final = "mlflow"
SERVER_PORT: Final = 5000
DATABASE_PORT: Final = 5432
STORE_PORT: Final = 7070
HTTPS_PORT: Final = 8443
LOOPBACK: Final = "127.0.0.1"
REGION: Final = "us-east-1"
SERVICES: Final = ("server", "proxy", "database", "store", "backup")
"""The most useful log first."""
VOLUMES: Final = {
    "database": "PostgreSQL's data",
    "artifacts": "models and other files of runs, as plain files",
    "backups": "daily dumps of the database",
    "proxy": "the certificate authority",
}
CA_FILE: Final = "/data/caddy/pki/authorities/local/root.crt"
STORE_IMAGE: Final = "ghcr.io/versity/versitygw:v1.7.0"

_MARK: Final = "provision.files"
_PRIVATE: Final = {
    "restart": "unless-stopped",
    "init": True,
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
}


@dataclass(frozen=True)
class ComposeFacts:
    """What makes one Compose file differ from another.

    `project` is the name that the engine knows it by. `listen` and `port` are this machine's.
    `files` is a digest of the mounted files: another one makes new containers.
    """

    project: str
    listen: str
    port: int
    auth: bool
    max_connections: int
    files: str


@dataclass(frozen=True)
class ComposeSecrets:
    """The values that `.env` holds."""

    database: Secret
    store_key: Secret
    store_secret: Secret
    passphrase: Secret
    admin: Secret | None = None
    session: Secret | None = None


def env_file(secrets: ComposeSecrets) -> str:
    """`.env`, which Compose reads by itself; for a file of mode 0600."""
    values = {
        "DATABASE_PASSWORD": secrets.database,
        "STORE_ACCESS_KEY": secrets.store_key,
        "STORE_SECRET_KEY": secrets.store_secret,
        "GATEWAY_PASSPHRASE": secrets.passphrase,
        "ADMIN_PASSWORD": secrets.admin,
        "SESSION_KEY": secrets.session,
    }
    head = "# The secrets of this stack, made by provision. Not for a repository.\n"
    return head + "".join(f"{k}={v.reveal()}\n" for k, v in values.items() if v is not None)


def compose_file(facts: ComposeFacts) -> dict[str, Any]:
    """The Compose file as data."""
    services = {
        "database": _database(facts),
        "backup": _backup(),
        "store": _store(),
        "server": _server(facts),
        "proxy": _proxy(facts),
    }
    return {
        "name": facts.project,
        "services": {name: {**service, **_PRIVATE} for name, service in services.items()},
        "volumes": {name: {} for name in VOLUMES},
    }


def _from_env(name: str) -> str:
    return f"${{{name}:?run provision up, which writes .env}}"


def _built(stage: str) -> dict[str, Any]:
    return {"build": {"context": ".", "target": stage}}


def _after(*services: str) -> dict[str, Any]:
    return {name: {"condition": "service_healthy"} for name in services}


def _check(*command: str, start: int, every: int = 15) -> dict[str, Any]:
    """`start` seconds of failures are forgiven while it starts; then three in a row are not."""
    return {
        "test": ["CMD", *command],
        "interval": f"{every}s",
        "timeout": "30s",
        "retries": 3,
        "start_period": f"{start}s",
        # Engines before 25 do not know `start_interval`, and look every `interval` instead.
    }


def _database(facts: ComposeFacts) -> dict[str, Any]:
    return {
        **_built("database"),
        "environment": {
            "DATABASE_PASSWORD": _from_env("DATABASE_PASSWORD"),
            "MAX_CONNECTIONS": str(facts.max_connections),
        },
        "volumes": ["database:/var/lib/postgresql/data"],
        "tmpfs": ["/tmp"],  # noqa: S108 - the container's
        # For provision archive and move, on a port of its own choice; it asks for the password.
        "ports": [f"127.0.0.1::{DATABASE_PORT}"],
        "shm_size": "128m",
        "stop_grace_period": "60s",
        # pg_isready says yes to a server that cannot read a table.
        "healthcheck": _check(
            "psql", "--quiet", "--no-align", "--tuples-only", "--host=/tmp", "--dbname=mlflow",
            "--command=SELECT 1", start=60, every=5,
        ),
    }  # fmt: skip


def _backup() -> dict[str, Any]:
    return {
        **_built("database"),
        "command": ["backup.sh", "daily"],
        "environment": {"DATABASE_PASSWORD": _from_env("DATABASE_PASSWORD")},
        "volumes": ["backups:/backups"],
        "tmpfs": ["/tmp"],  # noqa: S108
        "depends_on": _after("server"),
        # Unhealthy: there is no backup that is younger than 26 hours.
        "healthcheck": _check(
            "sh", "-c", "find /backups -name 'mlflow-*.dump' -mmin -1560 | grep -q .",
            start=600,
        ),
    }  # fmt: skip


def _store() -> dict[str, Any]:
    return {
        "image": STORE_IMAGE,
        "command": [
            "--port", f":{STORE_PORT}", "--region", REGION, "--health", "/health",
            "posix", "/data",
        ],
        "environment": {
            "ROOT_ACCESS_KEY_ID": _from_env("STORE_ACCESS_KEY"),
            "ROOT_SECRET_ACCESS_KEY": _from_env("STORE_SECRET_KEY"),
        },
        "volumes": ["artifacts:/data"],
        "tmpfs": ["/tmp"],  # noqa: S108
        "ports": [f"127.0.0.1::{STORE_PORT}"],
        # Whether objects can be listed is what the server's own check asks.
        "healthcheck": _check(
            "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{STORE_PORT}/health",
            start=60, every=5,
        ),
    }  # fmt: skip


def _server(facts: ComposeFacts) -> dict[str, Any]:
    secrets = ["DATABASE_PASSWORD", "GATEWAY_PASSPHRASE"]
    secrets += ["ADMIN_PASSWORD", "SESSION_KEY"] if facts.auth else []
    return {
        **_built("server"),
        "environment": {
            **{name: _from_env(name) for name in secrets},
            "AWS_ACCESS_KEY_ID": _from_env("STORE_ACCESS_KEY"),
            "AWS_SECRET_ACCESS_KEY": _from_env("STORE_SECRET_KEY"),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://store:{STORE_PORT}",
            "MLFLOW_S3_ENDPOINT_URL": f"http://store:{STORE_PORT}",
            # Without it, boto sends checksums in a form that few stores but AWS' own know.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "STORE_BUCKET": BUCKET,
        },
        "volumes": ["./server.json:/etc/provision/server.json:ro"],
        "tmpfs": ["/tmp"],  # noqa: S108
        "labels": {_MARK: facts.files},
        "depends_on": _after("database", "store"),
        "stop_grace_period": "40s",
        "healthcheck": _check(
            "python", "-P", "-m", "provision.server.health", "/etc/provision/server.json",
            start=300, every=10,
        ),
    }  # fmt: skip


def _proxy(facts: ComposeFacts) -> dict[str, Any]:
    listen = f"[{facts.listen}]" if ":" in facts.listen else facts.listen
    address = f"https://localhost:{HTTPS_PORT}/health"
    return {
        **_built("proxy"),
        "volumes": ["./Caddyfile:/etc/caddy/Caddyfile:ro", "proxy:/data"],
        "tmpfs": ["/tmp"],  # noqa: S108
        "ports": [f"{listen}:{facts.port}:{HTTPS_PORT}"],
        "labels": {_MARK: facts.files},
        "depends_on": _after("server"),
        # Its certificate has to be valid, and the server behind it has to answer.
        "healthcheck": _check(
            "curl", "--silent", "--fail", "--output", "/dev/null", "--cacert", CA_FILE, address,
            start=60, every=5,
        ),
    }  # fmt: skip


def caddyfile(names: Sequence[str]) -> str:
    """HTTPS for these names by an authority of the stack's own, as on the machine in an account.

    Clients that come by address name no server in the TLS handshake, and the address at which they
    arrive is the container's: `default_sni` says whose certificate they get, so one address works.
    A dial that fails is tried again, so a restart of the server costs no request.
    """
    addresses = [name for name in names if _is_address(name)]
    default = next((a for a in addresses if a != LOOPBACK), LOOPBACK)
    sites = ", ".join(f"https://{_netloc(name)}" for name in names)
    return f"""\
{{
	admin off
	https_port {HTTPS_PORT}
	default_sni {default}
	skip_install_trust
	auto_https disable_redirects
	servers {{
		protocols h1 h2
	}}
}}

(mlflow) {{
	@pages path /static-files/*
	encode @pages gzip
	reverse_proxy server:{SERVER_PORT} {{
		flush_interval -1
		lb_try_duration 20s
		lb_try_interval 250ms
		transport http {{
			dial_timeout 5s
			keepalive 60s
			compression off
		}}
	}}
}}

{sites} {{
	tls internal
	import mlflow
}}

:{HTTPS_PORT} {{
	import mlflow
}}
"""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _netloc(name: str) -> str:
    return f"[{name}]" if ":" in name else name
