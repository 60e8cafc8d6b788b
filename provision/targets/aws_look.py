"""How a stack in an account is: from its record, and from what AWS says now. Nothing is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from provision.adapters import workspace
from provision.model.endpoint import Endpoint
from provision.model.outputs import Outputs
from provision.model.status import State
from provision.targets.aws_account import AwsAccount, Opening
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
    """One stack in one account, looked at. `written` is the digest of the spec as it was read."""

    def __init__(  # noqa: PLR0913 - the last four are passed by name
        self,
        entrance: Entrance,
        paths: AwsPaths,
        connect: Connect,
        *,
        spec_file: Path,
        written: str,
        mlflow_version: str,
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
        self._now = now

    def snapshot(self) -> Snapshot:
        """Machine and database as AWS sees them now."""
        record = self.known()
        state, detail = self._state(record)
        runs = record is not None and state is State.RUNNING
        endpoint = self._entered(record) if record and runs else None
        endpoint = endpoint or (self.endpoint_of(record) if record else None)
        return Snapshot(
            state=state, detail=detail, endpoint=endpoint, memory=0, processes=0, uptime=0.0,
            data_bytes=0, free_bytes=0, sizing="", place=record.place if record else "",
            unanswered=_UNANSWERED if self.facts.is_open else BY_TUNNEL,
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
        )

    def _state(self, record: AwsRecord | None) -> tuple[State, str]:
        if record is None or not record.applied_at:
            unfinished = self._paths.ledger.exists()
            return State.NEVER_STARTED, "a run did not finish: provision up" if unfinished else ""
        if self.emulation_is_over(record):
            return State.STOPPED, "the emulated account has ended, with all that it held"
        access = self.access(record)
        state, detail = self.account.seen(access, Outputs.from_json(record.outputs), self._entrance)
        if state is State.FAILED and self.account.is_ended_elsewhere(access):
            return State.STOPPED, (
                "taken down from another place; provision down --delete-data clears what is kept "
                "of it here"
            )
        return state, detail
