"""How a stack in an account is: from its record, and from what AWS says now. Nothing is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from provision.adapters import workspace
from provision.model.endpoint import Endpoint
from provision.model.outputs import Outputs
from provision.model.status import Backup, Cost, State
from provision.targets.aws_account import AwsAccount, Opening, Sight
from provision.targets.aws_entrance import Entrance, NotWrittenError
from provision.targets.aws_folders import make_folders
from provision.targets.aws_record import Access, AwsPaths, AwsRecord, Connect
from provision.targets.base import Snapshot

BY_TUNNEL: Final = (
    "no port is open to any network (aws: ingress:); provision tunnel, in a shell of its own, "
    "leads to the server while it runs"
)
_UNANSWERED: Final = (
    "its machine is ready and does not answer here: provision check names the cause"
)


class AwsLook:
    """One stack in one account, looked at.

    `written` is the digest of the spec as it was read, `month` a month of it at list price.
    """

    def __init__(  # noqa: PLR0913 - the last five are passed by name
        self,
        entrance: Entrance,
        paths: AwsPaths,
        connect: Connect,
        *,
        spec_file: Path,
        written: str,
        mlflow_version: str,
        month: float,
        now: Callable[[], str],
    ) -> None:
        self.facts = entrance.facts
        self.account = AwsAccount(self.facts)
        self._entrance = entrance
        self._paths = paths
        self._connect = connect
        self._spec_file = spec_file
        self._written = written
        self._mlflow_version = mlflow_version
        self._month = month
        self._now = now

    def snapshot(self) -> Snapshot:
        """Machine and database as AWS sees them now."""
        record = self.known()
        seen = self._seen(record)
        runs = record is not None and seen.state is State.RUNNING
        endpoint = self._entered(record) if record and runs else None
        endpoint = endpoint or (self.endpoint_of(record) if record else None)
        return Snapshot(
            state=seen.state, detail=seen.detail, endpoint=endpoint, memory=0, processes=0,
            uptime=0.0, data_bytes=0, free_bytes=0, sizing="",
            place=record.place if record else "",
            unanswered=_UNANSWERED if self.facts.is_open else BY_TUNNEL,
            half_asleep=seen.view is not None and seen.view.half_asleep,
            cost=self._cost(record, seen) if record else None,
            backup=_backup(seen),
        )  # fmt: skip

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` before the first `up`."""
        record = self.known()
        return self._entered(record) if record else None

    def endpoint_of(self, record: AwsRecord) -> Endpoint | None:
        """The endpoint with the keys that this machine has."""
        return self._entrance.endpoint(Outputs.from_json(record.outputs), record.mlflow_version)

    def _entered(self, record: AwsRecord) -> Endpoint | None:
        """The endpoint, with its keys fetched where this machine does not have them yet.

        Somebody else may have brought the server up, or an `up` here was cut off at its end.
        """
        if not self._entrance.has_keys and record.outputs:
            access = self.access(record)
            if access is not None and access.boots:
                make_folders(self._paths)
                opening = self.account.look(access)
                with contextlib.suppress(NotWrittenError):
                    self._entrance.fetch_keys(opening.cloud, Outputs.from_json(record.outputs))
        return self.endpoint_of(record)

    # -- what is known --------------------------------------------------------------------------

    def stored(self) -> AwsRecord | None:
        """The record of this machine."""
        return AwsRecord.from_json(workspace.read_json(self._paths.record))

    def known(self) -> AwsRecord | None:
        """The record of this machine, or one made from a state that others share."""
        stored = self.stored()
        if stored is not None or not self.facts.shared or self.facts.rehearses:
            return stored
        opening = self.account.look(self._connect.real())
        outputs = self.account.shared_outputs(opening)
        return None if not outputs else self.record(opening, outputs)

    def access(self, record: AwsRecord) -> Access | None:
        """The way to the account of a record; `None` where it was an emulated one that is over."""
        own = record.owns_account
        return self._connect.emulated(start=False) if own else self._connect.real()

    def emulation_is_over(self, record: AwsRecord | None) -> bool:
        """Whether the stack was in an emulated account of its own, which has ended."""
        if record is None or not record.owns_account:
            return False
        return self._connect.emulated(start=False) is None

    def record(self, opening: Opening, outputs: Mapping[str, Any]) -> AwsRecord:
        """What is to be remembered now; without outputs those that were remembered before."""
        stored = self.stored()
        return AwsRecord(
            name=self.facts.name,
            spec_file=str(self._spec_file),
            account=opening.me.account,
            region=opening.me.region,
            emulated=opening.access.emulated,
            lent=opening.access.emulated and not opening.access.own,
            state="s3" if self.facts.shared else "local",
            mlflow_version=self._mlflow_version,
            created_at=(stored.created_at if stored else "") or self._now(),
            applied_at=self._now() if outputs else (stored.applied_at if stored else ""),
            outputs=outputs or (stored.outputs if stored else {}),
            spec=self._written,
            facts=self.facts.to_json(),
            month=self._month,
        )

    def _seen(self, record: AwsRecord | None) -> Sight:
        if record is None or not record.applied_at:
            unfinished = self._paths.ledger.exists()
            why = "a run did not finish: provision up" if unfinished else ""
            return Sight(State.NEVER_STARTED, why)
        if self.emulation_is_over(record):
            return Sight(State.STOPPED, "the emulated account has ended, with all that it held")
        access = self.access(record)
        seen = self.account.seen(access, Outputs.from_json(record.outputs), self._entrance)
        if seen.state is State.FAILED and self.account.is_ended_elsewhere(access):
            return Sight(
                State.STOPPED,
                "taken down from another place; provision down --delete-data clears what is kept "
                "of it here",
            )
        return seen

    def _cost(self, record: AwsRecord, seen: Sight) -> Cost | None:
        """Since the day in the stack's id, which everybody sees alike."""
        run = Outputs.from_json(record.outputs).run
        if run is None or seen.view is None:
            return None
        return Cost(
            since=f"{run[:4]}-{run[4:6]}-{run[6:8]}",
            month=self._month or None,
            budget=self.facts.budget,
            month_spent=seen.counted,
            unknown=seen.uncounted,
            emulated=record.emulated,
        )


def _backup(seen: Sight) -> Backup | None:
    """RDS' own, of the database; the bucket keeps its versions."""
    database = seen.view.database if seen.view else None
    if database is None:
        return None
    if not database.backup_days:
        return Backup("", "RDS makes none by itself; provision backup --list shows the others")
    days = database.backup_days
    kept = f"{days} day" + ("" if days == 1 else "s")
    return Backup(database.restorable, f"RDS restores any moment of the {kept} before")
