"""`status` of a stack in an account whose spec was up already. Part of the composition root.

The spec is not read anew where its file is, byte by byte, the one that was up last: what the look
needs of it is in the record. Reading specs takes longer than asking AWS (bench/terraform.py).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from provision import offline
from provision._version import __version__
from provision.accounts import connect
from provision.adapters import packages
from provision.app import lifecycle
from provision.errors import ProvisionError
from provision.model.endpoint import Endpoint
from provision.model.facts import Facts
from provision.model.holes import Holes
from provision.model.status import Security, StatusResult
from provision.settings import Settings
from provision.targets import last_audit
from provision.targets.aws_entrance import Entrance
from provision.targets.aws_look import AwsLook
from provision.targets.aws_record import AwsPaths, AwsRecord


def known_look(settings: Settings) -> AwsLook | None:
    """The look at such a stack; `None` where its spec has to be read."""
    name = offline.said_in(settings).get("name") or offline.default_stack(settings)
    paths = AwsPaths.below(settings.state_dir / name)
    record = AwsRecord.from_json(offline.read_record(paths.record))
    if record is None or not record.spec or record.spec != written(settings):
        return None
    facts = Facts.from_json(record.facts)
    if facts is None:
        return None
    return AwsLook(
        Entrance(facts, paths),
        paths,
        connect(facts.target, facts.region, paths, settings),
        spec_file=settings.spec_file,
        written=record.spec,
        mlflow_version=record.mlflow_version,
        month=record.month,
        now=str,
    )


def written(settings: Settings) -> str:
    """The digest of the spec as it stands in its file, for this version; empty without a file."""
    try:
        text = settings.spec_file.read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(__version__.encode() + b"\0" + text).hexdigest()


def last_audit_of(settings: Settings, status: StatusResult) -> Security:
    """What the last audit of the stack found."""
    in_account = status.target in ("aws", "rehearsal")
    return last_audit.read(settings.state_dir / status.name, in_account=in_account)


def known_holes() -> Holes:
    """The table of them that travels in the package."""
    return Holes.from_json(json.loads(packages.data_file("cves.json")))


def known_status(settings: Settings) -> StatusResult | None:
    """State, address and contents of such a stack; `None` where its spec has to be read."""
    look = known_look(settings)
    if look is None or look.facts.timed:
        return None
    facts = look.facts
    return lifecycle.status(look, facts.name, facts.target, facts.until, ask_server)


def ask_server(endpoint: Endpoint) -> dict[str, Any] | None:
    """The server's own view of itself; `None` when it does not answer in time."""
    from provision.adapters.tracking import TrackingClient  # noqa: PLC0415 - where one answers

    try:
        with TrackingClient.from_endpoint(endpoint) as client:
            return client.server_status()
    except ProvisionError:
        return None
