"""The end of a database that AWS guards, or that leaves a last snapshot."""

from __future__ import annotations

from typing import Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud

_ABSENT: Final = "DBInstanceNotFound"
_SNAPSHOT_ABSENT: Final = "DBSnapshotNotFound"


def lift_protection(cloud: Cloud, identifier: str) -> bool:
    """Take off the lock against deletion; whether it was on. One that is gone has none."""
    rds = cloud.client("rds")
    with explained(cloud, f"take the lock against deletion off the database {identifier}"):
        try:
            (found,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        except Exception as error:
            if code_of(error).startswith(_ABSENT):
                return False
            raise
        if not found.get("DeletionProtection"):
            return False
        rds.modify_db_instance(
            DBInstanceIdentifier=identifier, DeletionProtection=False, ApplyImmediately=True
        )
    return True


def has_snapshot(cloud: Cloud, name: str) -> bool:
    """Whether a snapshot has this name already: a last one under it would fail half-way."""
    with explained(cloud, f"look for the snapshot {name}"):
        try:
            cloud.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)
        except Exception as error:
            if code_of(error).startswith(_SNAPSHOT_ABSENT):
                return False
            raise
    return True


def end_with_snapshot(cloud: Cloud, identifier: str, snapshot: str) -> None:
    """Ask for its end with a last snapshot, and not for that of earlier ones.

    Returns before it is gone. One that is on its way out already stays on it.
    """
    with explained(cloud, f"end the database {identifier}"):
        try:
            cloud.client("rds").delete_db_instance(
                DBInstanceIdentifier=identifier,
                SkipFinalSnapshot=False,
                FinalDBSnapshotIdentifier=snapshot,
                DeleteAutomatedBackups=True,
            )
        except Exception as error:
            gone = code_of(error).startswith(_ABSENT)
            if not gone and "already being deleted" not in str(error):
                raise
