"""Snapshots of a stack's database: made, listed, waited for and deleted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, ProvisionError, RefusedError, UsageError

_PATIENCE_SECONDS: Final = 7200.0  # the first one of a large database takes hours (RDS user guide)
_POLL: Final = (0.5, 10.0)
_READY: Final = "available"
_ABSENT: Final = "DBInstanceNotFound"


@dataclass(frozen=True)
class Snapshot:
    """One of them; `at` is `None` until RDS has begun to make it."""

    id: str
    at: datetime | None
    status: str
    gib: int
    tags: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        """Whether a database can be made from it."""
        return self.status == _READY


def take(cloud: Cloud, database: str, snapshot: str, tags: Mapping[str, str]) -> None:
    """Ask for a snapshot that carries the database's own tags, and these."""
    with explained(cloud, f"make a backup of the database {database}"):
        found = _instance(cloud, database)
        if found is None:
            raise MissingError(
                f"the database {database} is not there", next_step="provision plan shows why"
            )
        given = {item["Key"]: item["Value"] for item in found.get("TagList", [])} | dict(tags)
        try:
            cloud.client("rds").create_db_snapshot(
                DBInstanceIdentifier=database,
                DBSnapshotIdentifier=snapshot,
                Tags=[{"Key": key, "Value": value} for key, value in given.items()],
            )
        except Exception as error:
            raise _refused(error, database, snapshot, found["DBInstanceStatus"]) from error


def _refused(error: Exception, database: str, snapshot: str, status: str) -> Exception:
    if code_of(error) == "DBSnapshotAlreadyExists":
        return UsageError(
            f"there is a snapshot {snapshot} already",
            next_step="name another, or delete that one: provision backup --delete NAME",
        )
    if code_of(error).startswith("InvalidDBInstanceState"):
        return RefusedError(
            f"RDS makes no backup of the database {database} while it is {status}",
            next_step="provision resume, where it is paused; else wait, then run this again",
        )
    return error


def snapshots_of(cloud: Cloud, database: str) -> list[Snapshot]:
    """All that somebody asked for, of databases of that name; not those that RDS makes itself."""
    with explained(cloud, f"list the backups of the database {database}"):
        found = cloud.paged(
            "rds", "describe_db_snapshots", "DBSnapshots",
            DBInstanceIdentifier=database, SnapshotType="manual",
        )  # fmt: skip
    return [_snapshot(item) for item in found]


def _snapshot(item: Mapping[str, Any]) -> Snapshot:
    tags = {tag["Key"]: tag["Value"] for tag in item.get("TagList", [])}
    return Snapshot(
        item["DBSnapshotIdentifier"], item.get("SnapshotCreateTime"), item["Status"],
        int(item.get("AllocatedStorage", 0)), tags,
    )  # fmt: skip


def until_ready(cloud: Cloud, snapshot: str) -> None:
    """Wait until a database can be made from it."""
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, _POLL[0]
    with explained(cloud, f"look at the snapshot {snapshot}"):
        while True:
            found = cloud.client("rds").describe_db_snapshots(DBSnapshotIdentifier=snapshot)
            (item,) = found["DBSnapshots"]
            if item["Status"] == _READY:
                return
            if item["Status"] == "failed" or time.monotonic() > deadline:
                raise ProvisionError(
                    f"RDS did not make the snapshot {snapshot}: it is {item['Status']}",
                    next_step="look at it in the console; make another one",
                )
            time.sleep(pause)
            pause = min(2 * pause, _POLL[1])


def delete(cloud: Cloud, snapshot: str) -> None:
    """Delete one for good. The caller has asked."""
    with explained(cloud, f"delete the snapshot {snapshot}"):
        cloud.client("rds").delete_db_snapshot(DBSnapshotIdentifier=snapshot)


def resource_of(cloud: Cloud, database: str) -> str:
    """RDS' own id of the database, which no other one of that name has; empty without any."""
    with explained(cloud, f"look at the database {database}"):
        found = _instance(cloud, database)
    return "" if found is None else str(found["DbiResourceId"])


def until_gone(cloud: Cloud, database: str) -> None:
    """Wait until RDS has no such database any more."""
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, _POLL[0]
    while resource_of(cloud, database):
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"the database {database} does not go",
                next_step="look at it in the console, then run this again",
            )
        time.sleep(pause)
        pause = min(2 * pause, _POLL[1])


def _instance(cloud: Cloud, database: str) -> Mapping[str, Any] | None:
    try:
        found = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=database)
    except Exception as error:
        if code_of(error).startswith(_ABSENT):
            return None
        raise
    instance: Mapping[str, Any] = found["DBInstances"][0]
    return instance
