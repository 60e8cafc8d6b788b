"""A stack in an account, paused and resumed: machine, database, and what AWS does by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from provision.adapters.cloud import power, schedules
from provision.adapters.cloud.server import server_view
from provision.errors import MissingError, RefusedError
from provision.model.account import ServerView
from provision.model.endpoint import Endpoint
from provision.model.outputs import DatabaseOutput, Outputs, ServerOutput
from provision.model.schedules import HOLD, OPENS, end_of
from provision.model.spec import Spec
from provision.targets.aws_account import Opening
from provision.targets.aws_host import AwsHost
from provision.targets.base import Paused, Progress, Started

_ASLEEP: Final = ("stopped", "stopping")
_UNHELD: Final = (
    "RDS starts a stopped database by itself after seven days, and nothing here stops it again: "
    "provision pause does"
)


@dataclass(frozen=True)
class AwsPower:
    """One stack's power. See `targets.base.Power`; `now` is the time at which it is asked."""

    spec: Spec
    host: AwsHost
    opening: Opening
    outputs: Outputs
    now: datetime

    def pause(self, progress: Progress) -> Paused:
        """Stop both, and let nothing start them until `resume`."""
        server, database = self._parts()
        cloud = self.opening.cloud
        notes = [] if self._group else [_UNHELD]
        with progress.step("telling AWS to start nothing"):
            self._sleep(asleep=True)
        with progress.step("stopping the machine"):
            power.stop(cloud, server.instance_id)
        with progress.step("letting the database stop"):
            power.stop_database(cloud, database.identifier)
        return Paused(tuple(notes))

    def resume(self, progress: Progress) -> Started:
        """Start both, wait until the server answers, and let AWS keep the office hours again.

        Raises `RefusedError` after the stack's last day.
        """
        self._parts()
        changed = self.wake(progress)
        endpoint = self._endpoint()
        if not self.opening.access.boots:
            return Started(endpoint, changed, ["no machine boots in this account"], serving=False)
        self.host.entrance.fetch_keys(self.opening.cloud, self.outputs)
        if self.host.entrance.facts.is_open:
            self.host.require_reached(endpoint, progress)
            return Started(endpoint, changed)
        inside = self.host.require_inside(self.opening.cloud, self.outputs, progress)
        return Started(endpoint, changed, [inside], serving=False)

    def wake(self, progress: Progress) -> bool:
        """Start what is stopped and wait for the machine; returns whether anything was."""
        self._require_time_left()
        if self.outputs.server is None or self.outputs.database is None:
            return False
        server, database = self._parts()
        seen = server_view(self.opening.cloud, server.instance_id, database.identifier)
        woken = self._sleep(asleep=False)
        if not _is_asleep(seen):
            return woken
        with self._machine_reports(seen, progress):
            self._start(server, database, progress)
        return True

    def _start(self, server: ServerOutput, database: DatabaseOutput, progress: Progress) -> None:
        cloud = self.opening.cloud
        with progress.step("starting the database"):
            power.start_database(cloud, database.identifier)
        with progress.step("starting the machine"):
            power.start(cloud, server.instance_id)
        with progress.step("waiting for the database (RDS takes some minutes)"):
            power.until_available(cloud, database.identifier)

    @contextmanager
    def _machine_reports(self, seen: ServerView, progress: Progress) -> Iterator[None]:
        """A machine that was stopped does its work again, and says so in a new report."""
        cloud, boots = self.opening.cloud, self.opening.access.boots
        before = self.host.entrance.report(cloud, self.outputs) if boots else None
        yield
        was_off = seen.machine is not None and seen.machine.state in _ASLEEP
        if boots:
            after = before.run if before is not None and was_off else 0
            self.host.wait(cloud, self.outputs).until_ready(progress, after_run=after)

    def _sleep(self, *, asleep: bool) -> bool:
        if not self._group:
            return False

        def wanted(name: str) -> bool | None:
            if name == HOLD:
                return asleep
            return not asleep if name.startswith(f"{OPENS}-") else None

        return schedules.set_awake(self.opening.cloud, self._group, wanted) > 0

    @property
    def _group(self) -> str:
        return self.outputs.schedules.group if self.outputs.schedules is not None else ""

    def _require_time_left(self) -> None:
        end = end_of(self.spec.lifetime)
        if end is not None and end <= self.now:
            raise RefusedError(
                f"{self.spec.lifetime.until} was the last day of {self.spec.name}: AWS would stop "
                "it again",
                next_step="provision extend DATE gives it more time",
            )

    def _parts(self) -> tuple[ServerOutput, DatabaseOutput]:
        server, database = self.outputs.server, self.outputs.database
        if server is None or database is None:
            raise MissingError(
                f"{self.spec.name} is not complete", next_step="provision up makes what is missing"
            )
        return server, database

    def _endpoint(self) -> Endpoint:
        endpoint = self.host.entrance.endpoint(self.outputs, self.host.mlflow_version)
        if endpoint is None:
            raise MissingError("the stack has no machine", next_step="provision up makes it")
        return endpoint


def _is_asleep(seen: ServerView) -> bool:
    machine = seen.machine.state if seen.machine else ""
    database = seen.database.status if seen.database else ""
    return machine in _ASLEEP or database in (*_ASLEEP, "starting")
