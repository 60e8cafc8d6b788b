"""A stack in an account brought back to a backup: database, artifacts, and a server on top.

RDS makes a database from a snapshot only as a new one. So the old one ends, with a last snapshot
of its own, and Terraform makes the new one under the same name from the backup: its state stays
true, and address, rights and tracking URI are what they were. What is under way is remembered
before the first change, so the same command goes on after anything that cut it off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from provision.adapters import workspace
from provision.adapters.cloud import snapshots
from provision.adapters.cloud.commands import run_on_machine
from provision.adapters.cloud.database_end import end_with_snapshot, lift_protection
from provision.adapters.cloud.rewinding import rewind
from provision.errors import ProvisionError, RefusedError
from provision.model.backups import BEFORE, Backup, name_at
from provision.model.guards import require_allowed
from provision.model.outputs import Outputs
from provision.model.rewound import Rewound
from provision.targets.aws_account import Opening
from provision.targets.aws_backups import PROGRAM, AwsBackups
from provision.targets.aws_host import AwsHost
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.aws_remote import AwsRemote
from provision.targets.aws_work import AwsWork
from provision.targets.base import Progress

_ARTIFACTS = "artifacts/"
_SECOND = 1.1
_ITSELF = frozenset({"database"})


@dataclass(frozen=True)
class Rewinding:
    """What is under way: the backup's name, RDS' id of the database that is to end, and the backup
    that its end leaves.
    """

    backup: str
    database: str
    before: str

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Rewinding | None:
        """As a record has it; `None` where nothing is under way."""
        return cls(**value) if value else None


def require_none_under_way(record: AwsRecord | None) -> None:
    """Raise `RefusedError` where a stack was left on its way back to a backup."""
    under_way = Rewinding.of(record.rewinding) if record is not None else None
    if under_way is not None:
        raise RefusedError(
            f"the way back to the backup {under_way.backup} was cut off",
            next_step=f"provision restore --from-backup {under_way.backup} goes on with it",
        )


@dataclass(frozen=True)
class Rewind:
    """The way back of one stack whose lock the caller holds.

    `remember` writes the outputs of an apply down.
    """

    work: AwsWork
    backups: AwsBackups
    host: AwsHost
    paths: AwsPaths
    now: datetime
    remember: Callable[[Mapping[str, Any]], AwsRecord]

    def to(
        self, backup: Backup, record: AwsRecord, progress: Progress, *, program: bool = False
    ) -> list[str]:
        """Bring it back and wait until the server answers; what there is to know about it.

        With `program`, the machine gets back the program and the MLflow that it had then.
        """
        if not record.rewinding:
            self._require_settled(progress)
        under_way = self._begun(backup, record)
        with self.work.ledger.command("restore", self.work.run, self.work.where()):
            self._end_old(under_way, progress)
            rewound = self._artifacts(backup, progress)
            self._make_new(backup, progress)
        if program:
            self._program(backup, progress)
        self._serve(progress, deliver=not program)
        return [f"{rewound}", f"as it was before: backup {under_way.before}"]

    def _require_settled(self, progress: Progress) -> None:
        """What is applied later is the database alone: nobody was shown anything else."""
        planned = self.work.plan(progress, fresh=False, look_around=False)
        planned.file.unlink(missing_ok=True)
        if not planned.nothing:
            raise RefusedError(
                "the stack is not as its spec says, and going back changes its database alone",
                next_step="provision plan shows what differs; provision up first, then this again",
            )

    def _begun(self, backup: Backup, record: AwsRecord) -> Rewinding:
        known = Rewinding.of(record.rewinding)
        if known is None:
            known = Rewinding(backup.name, self._resource(), BEFORE + name_at(self.now))
        # Somebody may go on to another backup than the one that he began with.
        known = replace(known, backup=backup.name)
        written = replace(record, rewinding=asdict(known))
        workspace.write_json(self.paths.record, written.to_json())
        return known

    def _resource(self) -> str:
        return snapshots.resource_of(self.work.cloud, self.backups.database.identifier)

    # -- the old database -----------------------------------------------------------------------

    def _end_old(self, under_way: Rewinding, progress: Progress) -> None:
        if not under_way.database or self._resource() != under_way.database:
            return
        cloud, identifier = self.work.cloud, self.backups.database.identifier
        with progress.step("stopping the server, so that its last snapshot holds all of it"):
            self._tell_machine("stop")
        try:
            lift_protection(cloud, identifier)
            end_with_snapshot(cloud, identifier, self.backups.id_of(under_way.before))
        except ProvisionError:
            with suppress(ProvisionError):
                self._tell_machine("start")
            raise
        with progress.step("ending the database, with a last snapshot (RDS takes some minutes)"):
            snapshots.until_gone(cloud, identifier)
            # S3 keeps whole seconds: what changes from now on is later than that snapshot.
            time.sleep(_SECOND)

    def _tell_machine(self, what: str) -> None:
        server = self.backups.outputs.server
        if not self.work.access.boots or server is None:
            return
        ran = run_on_machine(
            self.work.cloud, server.instance_id, [f"systemctl {what} mlflow.service"]
        )
        if ran.code:
            raise ProvisionError(
                f"the machine did not {what} its server: {ran.err.strip()[-300:]}",
                next_step="provision repair, then run this again",
            )

    # -- what was there then --------------------------------------------------------------------

    def _artifacts(self, backup: Backup, progress: Progress) -> Rewound:
        title, seen = "bringing the artifacts back", Rewound()

        def told(now: Rewound) -> None:
            nonlocal seen
            seen = now

        moment = datetime.fromisoformat(backup.at)
        with progress.board(lambda: [f"{title}: {seen}"]) as tell:
            tell(f"{title} ...")
            return rewind(self.work.cloud, self.backups.bucket, _ARTIFACTS, moment, told)

    def _make_new(self, backup: Backup, progress: Progress) -> None:
        """The database, from the backup; where one is there already, it is the new one."""
        work = replace(self.work, snapshot=self.backups.id_of(backup.name))
        missing = frozenset() if self._resource() else _ITSELF
        planned = work.plan(progress, fresh=False, look_around=True, allowed=missing)
        if not planned.nothing:
            require_allowed(planned.plan, missing)
            work.apply(planned, progress)
        self.remember(work.outputs())

    def _program(self, backup: Backup, progress: Progress) -> None:
        """The bucket has it still: the role may not write there, and we never delete a version."""
        with progress.step("bringing the machine's program back"):
            moment = datetime.fromisoformat(backup.at)
            rewind(self.work.cloud, self.backups.bucket, PROGRAM, moment)

    def _serve(self, progress: Progress, *, deliver: bool) -> None:
        """The machine finds the new database by its name, and makes its role known there.

        With `deliver` it gets this version's program, as with `repair`: so an older version of ours
        brings back the MLflow of its time together with the database.
        """
        work, outputs = self.work, Outputs.from_json(self.work.outputs())
        if not work.access.boots:
            return
        if deliver:
            opening = Opening(work.access, work.me, work.cloud)
            AwsRemote(self.host, opening, outputs).repair(progress)
            return
        self.host.repair(work.cloud, outputs, progress)
        self.host.entrance.fetch_keys(work.cloud, outputs)
