"""A stack's account, asked: who we are, what is shared there, how machine and database are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from provision.adapters.cloud.budget import month_spent
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.server import server_view
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.shared_state import (
    has_shared,
    read_shared,
    remove,
    shared_bucket,
)
from provision.errors import MissingError, ProvisionError
from provision.model import boot_view
from provision.model.account import Identity, ServerView
from provision.model.boot import BootReport
from provision.model.facts import Facts
from provision.model.outputs import Outputs
from provision.model.status import State
from provision.model.terraform_lock import LockInfo, lock_from
from provision.targets.aws_entrance import Entrance
from provision.targets.aws_record import Access

_STATES: Final = {
    "running": State.STARTING,
    "failed": State.FAILED,
    "ready": State.RUNNING,
}


@dataclass(frozen=True)
class Opening:
    """A way to an account that was tried: who we are there."""

    access: Access
    me: Identity
    cloud: Cloud


@dataclass(frozen=True)
class Sight:
    """A stack's machine and database as they were seen, and what AWS counted of the month.

    `view` is `None` where there was nothing to ask about; `counted` where there is no budget or it
    has not counted yet, and `uncounted` says why AWS did not tell.
    """

    state: State
    detail: str
    view: ServerView | None = None
    counted: float | None = None
    uncounted: str = ""


@dataclass(frozen=True)
class AwsAccount:
    """The account of the stack with these facts."""

    facts: Facts

    def look(self, access: Access | None) -> Opening:
        """Ask AWS who we are. Raises `MissingError` naming what is missing or expired."""
        if access is None:
            raise MissingError(
                "the emulated account of this stack has ended",
                next_step="provision up --emulated starts another, empty one",
            )
        cloud = Cloud(access.environment, self.facts.region)
        return Opening(access, identity_of(cloud), cloud)

    # -- a state that others share --------------------------------------------------------------

    def shared_outputs(self, opening: Opening) -> dict[str, Any]:
        """The outputs in a state that others share; empty where there is none."""
        return dict((self._shared(opening, "") or {}).get("outputs") or {})

    def shared_lock(self, opening: Opening) -> LockInfo | None:
        """Who holds the lock of a state that others share; it lies beside it in the bucket."""
        value = self._shared(opening, ".tflock")
        return None if value is None else lock_from(value)

    def lock_place(self, opening: Opening) -> str:
        """Where that lock lies."""
        return f"s3://{shared_bucket(opening.me, self.facts.shared)}/{self._key}.tflock"

    def is_ended_elsewhere(self, access: Access | None) -> bool:
        """Whether a state that others share holds nothing any more."""
        if not self.facts.shared or access is None:
            return False
        return not self.shared_outputs(self.look(access))

    def existing_shared(self, opening: Opening) -> str:
        """The bucket that holds the states of several stacks; "" where there is none."""
        shared = self.facts.shared
        if not shared or not has_shared(opening.cloud, opening.me, shared):
            return ""
        return shared_bucket(opening.me, shared)

    def forget_shared(self, opening: Opening) -> None:
        """Drop a shared state that tells of what is gone; the bucket keeps its versions."""
        if self.existing_shared(opening):
            bucket = shared_bucket(opening.me, self.facts.shared)
            remove(opening.cloud, opening.me, bucket, self._key)

    @property
    def _key(self) -> str:
        return f"{self.facts.name}/terraform.tfstate"

    def _shared(self, opening: Opening, suffix: str) -> dict[str, Any] | None:
        key = f"{self._key}{suffix}"
        return read_shared(opening.cloud, opening.me, self.facts.shared, key)

    # -- machine and database -------------------------------------------------------------------

    def seen(self, access: Access | None, outputs: Outputs, entrance: Entrance) -> Sight:
        """Machine and database as AWS sees them now, and how far the machine says it is."""
        if access is None or outputs.server is None or outputs.database is None:
            return Sight(State.FAILED, "not everything is there: provision up")
        cloud = Cloud(access.environment, self.facts.region)
        with ThreadPoolExecutor(2) as beside:
            report = beside.submit(entrance.report, cloud, outputs) if access.boots else None
            count = beside.submit(self._counted, cloud, outputs)
            view = server_view(cloud, outputs.server.instance_id, outputs.database.identifier)
            told = report.result() if report else None
        return Sight(_state_of(view, told), _detail_of(view, told), view, *count.result())

    def _counted(self, cloud: Cloud, outputs: Outputs) -> tuple[float | None, str]:
        """What AWS counted of this month, or why it does not tell."""
        if self.facts.budget is None or outputs.account_id is None:
            return None, ""
        try:
            return month_spent(cloud, outputs.account_id, self.facts.name), ""
        except ProvisionError as error:
            return None, error.message


def _state_of(view: ServerView, report: BootReport | None) -> State:
    if view.machine is None or view.database is None:
        return State.FAILED
    if view.machine.state in ("stopped", "stopping"):
        return State.STOPPED
    # Without the machine's own word, nothing can be said to run.
    return State.STARTING if report is None else _STATES[report.state]


def _detail_of(view: ServerView, report: BootReport | None) -> str:
    machine = f"machine {view.machine.state}" if view.machine else "the machine is gone"
    database = f"database {view.database.status}" if view.database else "the database is gone"
    own = f", {boot_view.summary(report)}" if report is not None else ""
    return f"{machine}, {database}{own}"
