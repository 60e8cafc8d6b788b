"""What a local server is started with: a plain calculation from spec, sizing and layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from provision.model.endpoint import Credentials, Endpoint
from provision.model.layout import Layout
from provision.model.sizing import MIB, Sizing, Wishes
from provision.model.spec import DEFAULT_PERMISSIONS, Spec
from provision.server.settings import AuthSettings, ServerSettings
from provision.targets.record import ANY_ADDRESS, StackRecord, netloc

ADMIN = "admin"
LEAST_FREE_BYTES = 200 * MIB
"""What a stack needs on the disk to begin with."""


@dataclass(frozen=True)
class Host:
    """What the local rung needs to know of this machine and of who asks.

    `names` are the machine's host names and addresses, by which others on the network know it.
    """

    python: str
    mlflow_version: str
    environment: Mapping[str, str]
    names: Sequence[str]


def wishes(spec: Spec) -> Wishes:
    """What the spec asks for in size."""
    server = spec.server
    return Wishes(
        engine=spec.database.engine,
        memory=server.memory_bytes,
        workers=None if server.workers == "auto" else server.workers,
        threads=None if server.threads == "auto" else server.threads,
        job_runner=None if server.job_runner == "auto" else server.job_runner,
    )


def allowed_hosts(spec: Spec, host: Host, port: int) -> list[str]:
    """The names that clients may use, with and without port: MLflow compares the whole header.

    Source: mlflow/server/security_utils.py, `is_allowed_host_header`.
    """
    names = ["localhost", "127.0.0.1", "[::1]"]
    listen = str(spec.access.listen)
    names += [netloc(name) for name in host.names] if listen in ANY_ADDRESS else [netloc(listen)]
    names += spec.access.allowed_hosts
    return list(dict.fromkeys(n for name in names for n in _with_port(name, port)))


def _with_port(name: str, port: int) -> Iterable[str]:
    has_port = ":" in name.rpartition("]")[2]
    return (name,) if has_port else (name, f"{name}:{port}")


def port_for(spec: Spec, asked: int | None, stored: StackRecord | None) -> int:
    """The asked port, else the written one, else the one that clients already know."""
    if asked is not None:
        return asked
    if "port" in spec.server.model_fields_set or stored is None:
        return spec.server.port
    return stored.port


def fingerprint(record: StackRecord, sizing: Sizing, spec: Spec, host: Host) -> str:
    """A digest of all that makes a running server the wanted one; the database's port does not."""
    facts: dict[str, object] = {
        "record": asdict(
            replace(record, database_port=0, fingerprint="", created_at="", python="")
        ),
        "sizing": asdict(sizing),
        "hosts": allowed_hosts(spec, host, record.port),
        "origins": list(spec.access.allowed_origins),
        "python": host.python,
    }
    if spec.access.others != "read":
        facts["others"] = spec.access.others
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def aliases(spec: Spec, host: Host, record: StackRecord) -> tuple[str, ...]:
    """Tracking URIs for other machines: the names that the spec lists, then this machine's own."""
    listed = [name for name in spec.access.allowed_hosts if "*" not in name]
    own = [netloc(name) for name in host.names if not name.endswith(".localdomain")]
    names = [*listed, *own] if record.listen in ANY_ADDRESS else listed
    return tuple(f"http://{list(_with_port(name, record.port))[-1]}" for name in names)


def endpoint_of(record: StackRecord, layout: Layout, others: tuple[str, ...] = ()) -> Endpoint:
    """How a client on this machine gets in, and by which URIs `others` do."""
    has_auth = record.auth == "basic"
    return Endpoint(
        name=record.name,
        uri=record.uri,
        mlflow_version=record.mlflow_version,
        credentials=Credentials(ADMIN, layout.admin_password) if has_auth else None,
        aliases=others,
    )


@dataclass(frozen=True)
class Databases:
    """Where the server's databases are, and what may be done to them."""

    store: str
    users: str
    pg_dump: str | None
    upgrade: bool


@dataclass(frozen=True)
class Wanted:
    """A stack as it shall run: the record, its sizing, and what they were worked out from."""

    record: StackRecord
    sizing: Sizing
    spec: Spec
    host: Host
    layout: Layout


def server_settings(wanted: Wanted, databases: Databases) -> ServerSettings:
    """What the server program reads."""
    record, sizing, layout = wanted.record, wanted.sizing, wanted.layout
    return ServerSettings(
        host=record.listen,
        port=record.port,
        workers=sizing.workers,
        threads=sizing.threads,
        pool_size=sizing.pool_size,
        max_overflow=sizing.max_overflow,
        database_url=databases.store,
        artifacts_destination=str(layout.artifacts),
        boot_report=str(layout.boot_report),
        models=str(layout.models),
        backup_dir=str(layout.backups),
        allowed_hosts=tuple(allowed_hosts(wanted.spec, wanted.host, record.port)),
        allowed_origins=tuple(wanted.spec.access.allowed_origins),
        auth=_auth(wanted, databases.users) if record.auth == "basic" else None,
        job_runner=sizing.job_runner,
        upgrade_database=databases.upgrade,
        pg_dump=databases.pg_dump,
        gateway_passphrase_file=str(layout.gateway_passphrase),
        local_artifact_root=str(layout.artifacts) if record.engine == "sqlite" else None,
    )


def _auth(wanted: Wanted, url: str) -> AuthSettings:
    layout = wanted.layout
    return AuthSettings(
        admin_username=ADMIN,
        admin_password_file=str(layout.admin_password),
        secret_key_file=str(layout.session_key),
        database_url=url,
        config_file=str(layout.auth_config),
        default_permission=DEFAULT_PERMISSIONS[wanted.spec.access.others],
    )
