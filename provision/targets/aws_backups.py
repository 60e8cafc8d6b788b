"""A stack's backups in its account: snapshots of the database, and with them the bucket's versions.

The snapshot is the record too: it carries the stack's tags, its name, and the moment for which the
versioned bucket is asked when somebody goes back to it. So there is no list that could be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from provision.adapters.cloud import snapshots
from provision.adapters.cloud.objects import Bucket
from provision.adapters.cloud.rewinding import has_changed, noncurrent_days
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.snapshots import Snapshot
from provision.errors import MissingError
from provision.model.backups import Backup, named, newest_first
from provision.model.leftovers import RUN_TAG, Names
from provision.model.outputs import DatabaseOutput, Outputs
from provision.targets.base import Progress

MLFLOW_TAG: Final = "provision:mlflow"
PROGRAM: Final = "provision/host/"
"""Where the machine's program is in the bucket."""


@dataclass(frozen=True)
class AwsBackups:
    """Those of one stack. `mlflow_version` is that of the server that runs there now."""

    cloud: Cloud
    names: Names
    outputs: Outputs
    mlflow_version: str

    @property
    def bucket(self) -> Bucket:
        """The stack's bucket."""
        outputs = self.outputs
        if outputs.artifacts is None or outputs.account_id is None:
            raise MissingError("the stack has no bucket", next_step="provision up makes it")
        return Bucket(outputs.artifacts.bucket, outputs.account_id)

    @property
    def database(self) -> DatabaseOutput:
        """The stack's database."""
        if self.outputs.database is None:
            raise MissingError("the stack has no database", next_step="provision up makes it")
        return self.outputs.database

    def id_of(self, name: str) -> str:
        """The snapshot's own name, which is one of a kind in account and region."""
        return f"{self.names.prefix}-{name}"

    def make(self, name: str, progress: Progress) -> Backup:
        """Make one, and wait until it is whole. The server serves on meanwhile."""
        snapshot = self.id_of(name)
        tags = {MLFLOW_TAG: self.mlflow_version} if self.mlflow_version else {}
        snapshots.take(self.cloud, self.database.identifier, snapshot, tags)
        with progress.step("waiting for RDS' snapshot (minutes, hours for a first large one)"):
            snapshots.until_ready(self.cloud, snapshot)
        return named(self.all(), name)

    def all(self) -> tuple[Backup, ...]:
        """What this very stack can go back to, the newest first."""
        found = snapshots.snapshots_of(self.cloud, self.database.identifier)
        own = [one for one in found if one.tags.get(RUN_TAG) == self.outputs.run]
        days = noncurrent_days(self.cloud, self.bucket) if own else None
        start = self.id_of("")
        return newest_first(self._backup(one, days) for one in own if one.id.startswith(start))

    def _backup(self, found: Snapshot, days: int | None) -> Backup:
        at = (found.at or datetime.now(UTC)).astimezone(UTC)
        return Backup(
            name=found.id.removeprefix(self.id_of("")),
            at=at.isoformat(timespec="milliseconds"),
            bytes=found.gib << 30,
            ready=found.is_ready,
            where=f"RDS snapshot {found.id}, and the versions of that time in {self.bucket.name}",
            mlflow_version=found.tags.get(MLFLOW_TAG, ""),
            whole_until=None if days is None else (at + timedelta(days=days)).isoformat(
                timespec="seconds"
            ),
        )  # fmt: skip

    def has_new_program(self, backup: Backup) -> bool:
        """Whether the machine was given another program since."""
        moment = datetime.fromisoformat(backup.at)
        return has_changed(self.cloud, self.bucket, PROGRAM, moment)

    def delete(self, name: str) -> Backup:
        """Delete one for good; the bucket's versions go by its own rules. The user has agreed."""
        found = {backup.name: backup for backup in self.all()}
        backup = found[name] if name in found else named(found.values(), name)
        snapshots.delete(self.cloud, self.id_of(name))
        return backup
