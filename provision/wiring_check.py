"""Builds `provision check`: what looks, at what, and how long it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provision.adapters import doors, packages, workspace
from provision.adapters.local_store import LocalFiles
from provision.adapters.tracking import TrackingClient
from provision.app.check import Looks
from provision.app.check import check as look
from provision.app.check_doors import Door
from provision.app.check_local import check_local
from provision.model import client_script
from provision.model.endpoint import Endpoint
from provision.model.outputs import Outputs
from provision.model.report import Finding, Report
from provision.settings import Settings
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.base import Progress, UpOptions

if TYPE_CHECKING:
    from provision.wiring import OpenedStack

PATIENCE_SECONDS: Final = 5.0
"""How long `provision check` waits for a connection and for the first answer."""

_MENDED_BY_UP: Final = frozenset(
    {
        "tcp.refused",
        "http.closed",
        "http.gateway",
        "tls.ca-file",
        "database.no-folder",
        "artifact-folder.not-writable",
    }
)

# What a machine of ours never has open to the world: shells, databases, MLflow without TLS.
_PORTS: Final = {22: "SSH", 5000: "MLflow without TLS", 5432: "PostgreSQL"}


def check(
    stack: OpenedStack,
    endpoint: Endpoint,
    on_layer: Callable[[Finding], None],
    *,
    timeout: float = PATIENCE_SECONDS,
    large: int = 0,
) -> Report:
    """Look at the endpoint as a client does; `timeout` in seconds, `large` in bytes."""
    if not endpoint.has_server:
        return check_local(endpoint, LocalFiles(), time.perf_counter, on_layer=on_layer)
    looks = Looks(
        packages.installed_version("mlflow"),
        stack.settings.environment,
        large,
        _doors(_record(stack)),
        _try_door,
    )
    client = partial(TrackingClient.from_endpoint, timeout=timeout)
    return look(endpoint, client, time.perf_counter, looks, on_layer=on_layer)


def mend(stack: OpenedStack, report: Report, progress: Progress) -> bool:
    """Apply the next step of a broken layer where that is safe: `up`, of a stack on this machine.

    False where a person has to decide: anything that costs money, opens a door or loses data.
    """
    failure = report.first_failure
    if failure is None or failure.id not in _MENDED_BY_UP or stack.spec.target != "local":
        return False
    stack.target.up(UpOptions(), progress)
    return True


def _record(stack: OpenedStack) -> AwsRecord | None:
    return AwsRecord.from_json(workspace.read_json(AwsPaths.below(stack.layout.root).record))


def _doors(record: AwsRecord | None) -> list[Door]:
    """What has to be shut; a stack whose account is emulated alone has no outside.

    A rehearsed one is behind the lab's firewall; its bucket is not, and emulated S3 knows no
    strangers.
    """
    rehearsed = record is not None and record.facts.get("target") == "rehearsal"
    if record is None or (record.emulated and not rehearsed):
        return []
    outputs = Outputs.from_json(record.outputs)
    found: list[Door] = []  # the worst first: it is the one that is named
    if outputs.database is not None:
        host, _, port_text = outputs.database.address.rpartition(":")
        found.append(Door("the database", host, int(port_text), "outside.database-open"))
    if outputs.artifacts is not None and not rehearsed:
        name = f"{outputs.artifacts.bucket}.s3.{record.region}.amazonaws.com"
        found.append(Door("the bucket", name, 0, "outside.bucket-open"))
    if outputs.server is not None:
        host = outputs.server.public_ip
        found += [Door(what, host, port, "outside.port-open") for port, what in _PORTS.items()]
    return found


def _try_door(door: Door) -> str:
    if door.port:
        return doors.port_answers(door.host, door.port)
    return doors.shows_itself(f"https://{door.host}/?list-type=2&max-keys=1")


def check_client(settings: Settings, timeout: float = PATIENCE_SECONDS) -> Report:
    """Look at this machine as MLflow's client does: its variables, and the way to its server."""
    from provision.portable import check_client as portable  # noqa: PLC0415

    uri = settings.environment.get(portable.URI, "")
    seen = portable.look(settings.environment, str(Path.cwd()), timeout=timeout)
    return client_script.report(portable.public(uri), seen)


def script_for_clients(uri: str = "") -> str:
    """The same look as a program of one file, for the server at `uri`."""
    return client_script.filled(packages.source_file("portable", client_script.SCRIPT), uri)
