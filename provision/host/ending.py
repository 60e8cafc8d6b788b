"""The archive that the machine makes of its databases before its account takes it down.

The role of the account's schedules may delete machine and database only where they carry the tag
`ARCHIVED` with the last day as its value, and nobody else sets it: what is not archived stays.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from provision.host import files, notices
from provision.host.failures import HostError
from provision.host.phases.service import UNIT, VARIABLES
from provision.host.places import SERVER_USER
from provision.host.run import Host

ARCHIVED: Final = "provision:archived"
_TRANSFER: Final = "provision-transfer"
_PATIENCE_SECONDS: Final = 6 * 3600.0


def archive_at_end(host: Host) -> str:
    """Archive once the spec's moment has come, tag what may go then, and tell; empty before."""
    settings = host.settings
    if not settings.archive_from:
        return ""
    if time.time() < datetime.fromisoformat(settings.archive_from).timestamp():
        return ""
    try:
        host.commands.run("systemctl", "stop", UNIT)
        if files.read(_mark(host)).strip() != settings.ends_on:
            _archive(host)
        _permit(host)
    except HostError as error:
        host.commands.succeeds("systemctl", "start", UNIT)
        said = notices.tell(
            host, notices.ARCHIVE, "it is not archived, and stays",
            f"The MLflow server {settings.name} was to be taken down after its last day, "
            f"{settings.ends_on}. Its database could not be archived, so nothing is deleted: "
            f"{error.message}\nIt tries again each hour of the days in which it runs. next step: "
            "provision logs transfer; provision down --archive DIR --delete-data ends it by hand.",
        )  # fmt: skip
        return "; ".join(word for word in (f"no archive: {error.message}", said) if word)
    return "everything is archived; the account may take the machine down"


def _archive(host: Host) -> None:
    """By the job of `provision archive` (`targets/transfer_unit.py`), into a part that stays."""
    settings = host.settings
    job = f"ended-{settings.ends_on}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    variables = {
        **VARIABLES,
        "AWS_DEFAULT_REGION": settings.region,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": "/var/lib/provision/server",
    }
    python = str(host.places.at("/opt/provision/venv/bin/python"))
    host.commands.run(
        "systemd-run", "--quiet", "--collect", "--wait", f"--unit={_TRANSFER}",
        f"--property=User={SERVER_USER}", f"--property=Group={SERVER_USER}",
        "--property=UMask=0077", "--property=WorkingDirectory=/var/lib/provision/server",
        *(f"--setenv={name}={value}" for name, value in variables.items()),
        python, "-P", "-m", "provision.server.archive.hosted", "export", settings.bucket,
        _account(host), job, "{}", timeout=_PATIENCE_SECONDS,
    )  # fmt: skip
    files.write(_mark(host), f"{settings.ends_on}\n")
    notices.tell(
        host, notices.ARCHIVED, "it is archived, and goes now",
        f"The database of the MLflow server {settings.name} is archived in its bucket "
        f"({settings.bucket}), beside its artifacts. Machine and database are deleted within the "
        "next hours; the bucket and a last snapshot of the database stay, and cost a little. "
        "provision archive DIR fetches everything, provision down --delete-data ends the rest.",
    )  # fmt: skip


def _permit(host: Host) -> None:
    settings = host.settings
    partition, _, region = settings.topic.split(":")[1:4]
    database = f"arn:{partition}:rds:{region}:{_account(host)}:db:{settings.database_identifier}"
    # The machine last: it is what could try again.
    host.aws.tag_database(database, ARCHIVED, settings.ends_on)
    host.aws.tag_machine(host.aws.instance(), ARCHIVED, settings.ends_on)


def _account(host: Host) -> str:
    """The account's number, out of the topic's ARN."""
    return host.settings.topic.split(":")[4]


def _mark(host: Host) -> Path:
    return host.places.state / "archived"
