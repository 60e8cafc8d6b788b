"""RDS' backups that outlive their database, in the emulated account.

moto keeps the automated snapshots of a database that was deleted without them, and tells nothing of
whose they were; here they say it, and can be deleted (RDS' API reference,
"DBInstanceAutomatedBackup").
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.rds import models as rds
from moto.rds.responses import RDSResponse

_TOLD = ("dbi_resource_id", "allocated_storage", "instance_create_time", "engine")


def close_gaps_of_backups() -> None:
    """Let backups say whose they are, and go."""
    made = rds.DBInstanceAutomatedBackup
    for name in _TOLD:
        setattr(made, name, property(_first_snapshots(name)))
    made.tag_list = property(lambda self: self.automated_snapshots[0].database.tags)
    made.db_instance_automated_backups_arn = property(_arn)
    RDSResponse.delete_db_instance_automated_backup = _delete


def _first_snapshots(name: str) -> Any:
    return lambda self: getattr(self.automated_snapshots[0], name)


def _arn(self: Any) -> str:
    """The id in it is RDS' own for the backup; ours is the database's."""
    place = f"{self.backend.region_name}:{self.backend.account_id}"
    return f"arn:aws:rds:{place}:auto-backup:ab-{self.dbi_resource_id.lower()}"


def _delete(self: Any) -> Any:
    wanted = self.params.get("DbiResourceId")
    for backup in self.backend.describe_db_instance_automated_backups():
        if backup.dbi_resource_id == wanted and backup.status == "retained":
            for snapshot in backup.automated_snapshots:
                self.backend.delete_db_snapshot(snapshot.db_snapshot_identifier)
            return ActionResult({"DBInstanceAutomatedBackup": backup})
    raise rds.DBInstanceNotFoundError(wanted)
