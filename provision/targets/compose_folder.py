"""The folder of a Compose stack: everything that `docker compose` needs, to be read before it runs.

`.env` alone holds secrets (mode 0600), and no image is built with it: `.dockerignore` lets in what
the Dockerfile copies and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from provision.adapters import postgres, workspace
from provision.adapters.containers import yaml_text
from provision.model import compose
from provision.model.layout import Layout
from provision.model.secrets import Secret
from provision.model.sizing import Sizing
from provision.model.spec import DEFAULT_PERMISSIONS, Spec
from provision.server.settings import AuthSettings, ServerSettings
from provision.targets import local_settings
from provision.targets.host_bundle import lock_text, program
from provision.targets.record import ANY_ADDRESS, StackRecord

_SOURCES: Final = Path(__file__).parents[1] / "data" / "compose"
_STATIC: Final = ("Dockerfile", "database.sh", "backup.sh")
_ARCHITECTURES: Final = ("x86_64", "aarch64")
_INSIDE: Final = "/tmp/provision"  # noqa: S108 - `provision.server.container.SECRETS`
_URL: Final = (
    f"postgresql+psycopg2://mlflow@database:{compose.DATABASE_PORT}/mlflow"
    f"?passfile={_INSIDE}/database.pass&connect_timeout=5&keepalives=1&keepalives_idle=15"
    "&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=30000"
)
_HEAD: Final = """\
# The MLflow stack {name}, written by `provision up`, which replaces this file.
# To run it by hand: docker compose up --build --wait
# Secrets are in .env (mode 0600) and nowhere else. docs/compose.md says what is what.
"""
_IGNORED: Final = "*\n!Dockerfile\n!database.sh\n!backup.sh\n!locks\n!provision.pyz\n"


def folder(layout: Layout) -> Path:
    """Where the files of a stack are."""
    return layout.root / "compose"


def project(layout: Layout) -> str:
    """The name that the engine knows a stack by: two folders may each hold one of the same name.

    It is kept, so that a folder that moves finds its volumes again.
    """
    kept = layout.root / "project"
    if not kept.exists():
        mark = hashlib.sha256(str(layout.root).encode()).hexdigest()[:6]
        workspace.write_text(kept, f"provision-{layout.root.name}-{mark}\n")
    return workspace.read_text(kept).strip()


def ca_file(layout: Layout) -> Path:
    """The certificate of the stack's own authority."""
    return layout.root / "ca.pem"


@dataclass(frozen=True)
class Wanted:
    """A stack as it shall run."""

    record: StackRecord
    sizing: Sizing
    spec: Spec
    host: local_settings.Host
    upgrade: bool = False


def names(spec: Spec, host: local_settings.Host) -> tuple[str, ...]:
    """The names and addresses that get a certificate; a wildcard gets one, too."""
    listen = str(spec.access.listen)
    own = list(host.names) if listen in ANY_ADDRESS else [listen]
    listed = [_without_port(name) for name in spec.access.allowed_hosts]
    return tuple(dict.fromkeys(["localhost", compose.LOOPBACK, *own, *listed]))


def _without_port(name: str) -> str:
    return name.rpartition(":")[0] if ":" in name.rpartition("]")[2] else name.strip("[]")


def write(wanted: Wanted, layout: Layout) -> str:
    """Write the folder, and return a digest of it: another one means other containers.

    Secrets are made at the first time and stay.
    """
    place = folder(layout)
    workspace.make_folder(place)
    workspace.make_folder(place / "locks", 0o755)
    texts = _texts(wanted)
    mounted = _digest({name: texts[name] for name in ("server.json", "Caddyfile")})
    texts["compose.yaml"] = _HEAD.format(name=wanted.spec.name) + yaml_text(
        compose.compose_file(_facts(wanted, project(layout), mounted))
    )
    pyz = program()
    for name, text in texts.items():
        # Read by the users inside the containers, who are nobody out here.
        workspace.write_text(place / name, text, mode=0o644)
    workspace.write_bytes(place / "provision.pyz", pyz, mode=0o644)
    secrets = _secrets(wanted.record, layout)
    workspace.write_text(place / ".env", compose.env_file(secrets))
    workspace.write_text(layout.pgpass, postgres.passfile_line(secrets.database))
    return _digest({**texts, "provision.pyz": hashlib.sha256(pyz).hexdigest()})


def _texts(wanted: Wanted) -> dict[str, str]:
    static = {name: workspace.read_text(_SOURCES / name) for name in _STATIC}
    locks = {f"locks/{arch}.lock": lock_text(arch) for arch in _ARCHITECTURES}
    return {
        **static,
        **locks,
        ".dockerignore": _IGNORED,
        "Caddyfile": compose.caddyfile(names(wanted.spec, wanted.host)),
        "server.json": json.dumps(asdict(server_settings(wanted)), indent=2) + "\n",
    }


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


def _facts(wanted: Wanted, name: str, mounted: str) -> compose.ComposeFacts:
    record = wanted.record
    return compose.ComposeFacts(
        project=name,
        listen=record.listen,
        port=record.port,
        auth=record.auth == "basic",
        # Two more than the server takes: for the backup, and for a look by hand.
        max_connections=wanted.sizing.max_connections + 2,
        files=mounted,
    )


def _secrets(record: StackRecord, layout: Layout) -> compose.ComposeSecrets:
    workspace.make_folder(layout.secrets)

    def secret(name: str) -> Secret:
        return workspace.ensure_secret(layout.secrets / name)

    has_auth = record.auth == "basic"
    return compose.ComposeSecrets(
        database=secret("database-password"),
        store_key=secret("store-access-key"),
        store_secret=secret("store-secret-key"),
        passphrase=workspace.ensure_secret(layout.gateway_passphrase),
        admin=workspace.ensure_secret(layout.admin_password) if has_auth else None,
        session=workspace.ensure_secret(layout.session_key) if has_auth else None,
    )


def server_settings(wanted: Wanted) -> ServerSettings:
    """What the server program in its container reads; all its paths are the container's."""
    record, sizing, spec = wanted.record, wanted.sizing, wanted.spec
    return ServerSettings(
        host="0.0.0.0",  # noqa: S104 - in its container: nothing but the proxy gets there
        port=compose.SERVER_PORT,
        workers=sizing.workers,
        threads=sizing.threads,
        pool_size=sizing.pool_size,
        max_overflow=sizing.max_overflow,
        database_url=_URL,
        artifacts_destination=f"s3://{compose.BUCKET}/artifacts",
        boot_report=f"{_INSIDE}/boot.json",
        backup_dir=f"{_INSIDE}/backups",
        allowed_hosts=tuple(local_settings.allowed_hosts(spec, wanted.host, record.port)),
        allowed_origins=(*_origins(wanted), *spec.access.allowed_origins),
        auth=_auth(spec) if record.auth == "basic" else None,
        job_runner=sizing.job_runner,
        upgrade_database=wanted.upgrade,
        gateway_passphrase_file=f"{_INSIDE}/gateway-passphrase",
        direct_artifacts=False,
        # The backup service has made one before this file says that an upgrade may be done.
        backed_up_elsewhere=True,
    )


def _origins(wanted: Wanted) -> list[str]:
    """A browser names its origin in the UI's own requests too, and MLflow asks its list then."""
    hosts = local_settings.allowed_hosts(wanted.spec, wanted.host, wanted.record.port)
    return [f"https://{host}" for host in hosts if "*" not in host]


def _auth(spec: Spec) -> AuthSettings:
    return AuthSettings(
        admin_username=local_settings.ADMIN,
        admin_password_file=f"{_INSIDE}/admin-password",
        secret_key_file=f"{_INSIDE}/session-key",
        database_url=_URL,
        config_file=f"{_INSIDE}/basic-auth.ini",
        default_permission=DEFAULT_PERMISSIONS[spec.access.others],
    )
