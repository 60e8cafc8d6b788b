"""A stack's move to the MLflow that this version brings: tried on a copy, proven, or taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from provision.app.backups import InAnAccount
from provision.app.data import DataWork
from provision.app.lifecycle import require_working
from provision.errors import CheckFailedError, ProvisionError, UserInterruptError
from provision.model.backups import Backup, name_at
from provision.model.endpoint import Endpoint
from provision.model.report import Report
from provision.model.status import State
from provision.targets.base import DownOptions, Progress, Started, Target, UpOptions

Check = Callable[[Endpoint], Report]


class Switch(Protocol):
    """How one rung changes its server's MLflow, and how it takes that back."""

    def versions(self) -> tuple[str, str]:
        """MLflow's version that runs, and the one that would."""

    @property
    def under_way(self) -> str:
        """The version from which an upgrade that was cut off had come; empty without one."""

    def copied(self, progress: Progress, /) -> AbstractContextManager[Mapping[str, Any]]:
        """Where a copy of the data is, for a job on it, while the block runs."""

    def switch(self, progress: Progress, /) -> None:
        """Let the copy take the place of the data."""

    def back(self, progress: Progress, /) -> str:
        """Everything as it was; what is left to do by hand, if anything is."""

    def start_old(self, progress: Progress, /) -> str:
        """Start the server that was there; what is left to do by hand, if anything is."""

    def keep(self, name: str, progress: Progress, /) -> Path:
        """Keep the data as it was among the backups."""


@dataclass(frozen=True)
class UpgradeResult:
    """What the stack `name` runs now. `schemas` are those that were migrated, with their revisions
    and rows; `kept` is the database as it was, empty where nothing was changed.
    """

    name: str
    changed: bool
    before: str
    now: str
    schemas: Mapping[str, Mapping[str, Any]]
    kept: str = ""

    @property
    def pin(self) -> str:
        """What clients install."""
        return f"mlflow=={self.now}"


@dataclass(frozen=True)
class Upgrade:
    """One stack's upgrade. `check` looks at it as a client does; `now` names what is kept."""

    name: str
    target: Target
    switch: Switch
    work: DataWork
    check: Check
    now: datetime
    progress: Progress

    def run(self, confirm: Callable[[str, str], None]) -> UpgradeResult:
        """Do it, once `confirm` has returned for both versions.

        Raises `CheckFailedError` when clients cannot use the newer one: then the older one is back,
        with its data. Goes on with one that was cut off.
        """
        came_from = self.switch.under_way
        if came_from:
            before, new = came_from, self.switch.versions()[1]
            self.progress.note("an upgrade was cut off: it goes on")
            return self._proven(before, new, {})
        before, new = self.switch.versions()
        if before == new:
            return UpgradeResult(self.name, False, before, new, {})
        confirm(before, new)
        return self._proven(before, new, self._migrated())

    def _migrated(self) -> Mapping[str, Mapping[str, Any]]:
        """The migration of a copy, in which everything is that was logged."""
        ran = self.target.snapshot().state in (State.RUNNING, State.STARTING)
        self.target.down(DownOptions(), self.progress)
        try:
            with self.switch.copied(self.progress) as place:
                return self.work.migrate(place)
        except BaseException:
            if ran:
                self.switch.start_old(self.progress)
            raise

    def _proven(
        self, before: str, new: str, schemas: Mapping[str, Mapping[str, Any]]
    ) -> UpgradeResult:
        self.switch.switch(self.progress)
        try:
            endpoint = self.target.up(UpOptions(), self.progress).endpoint
            with self.progress.step("checking from a client's side"):
                require_working(self.check(endpoint), endpoint)
        except UserInterruptError:
            raise
        except ProvisionError as error:
            left = self.switch.back(self.progress)
            raise CheckFailedError(
                f"with MLflow {new}: {error.message}; {self.name} is back at {before}, with its "
                "database as it was",
                next_step=left or error.next_step,
            ) from error
        name = f"upgrade-from-{before}-{name_at(self.now)}"
        kept = self.switch.keep(name, self.progress)
        return UpgradeResult(self.name, True, before, new, schemas, str(kept))


class InAccount(InAnAccount, Protocol):
    """A target in an account, whose `up` brings this version's MLflow to its machine."""

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Bring it up."""

    def rewind(
        self, backup: Backup, progress: Progress, /, *, program: bool = False
    ) -> Sequence[str]:
        """Bring it back to a backup, with `program` the machine's program too."""


@dataclass(frozen=True)
class AccountUpgrade:
    """A stack's upgrade in an account to this version's MLflow, with a backup as the way back.

    `options` are those of `up`, which does the work.
    """

    name: str
    target: InAccount
    version: str
    check: Check
    options: UpOptions
    now: datetime
    progress: Progress

    def run(self, confirm: Callable[[str, str], None]) -> UpgradeResult:
        """Do it, once `confirm` has returned for both versions.

        Raises `CheckFailedError` when clients cannot use the newer one: then database, artifacts
        and MLflow are back as they were. What fails before the machine was told anything is raised
        as it is.
        """
        before, new = self.target.backups().mlflow_version, self.version
        if before == new:
            return UpgradeResult(self.name, False, before, new, {})
        confirm(before, new)
        backup = self.target.backups().make(f"upgrade-{name_at(self.now)}", self.progress)
        try:
            self._proven()
        except UserInterruptError:
            raise
        except ProvisionError as error:
            if not self.target.backups().has_new_program(backup):
                raise
            self.progress.note(f"{error.message}; going back")
            self.target.rewind(backup, self.progress, program=True)
            raise CheckFailedError(
                f"with MLflow {new}: {error.message}; {self.name} is back at {before}, with its "
                "database as it was",
                next_step=error.next_step,
            ) from error
        return UpgradeResult(self.name, True, before, new, {}, f"backup {backup.name}")

    def _proven(self) -> None:
        started = self.target.up(self.options, self.progress)
        if started.serving:
            with self.progress.step("checking from a client's side"):
                require_working(self.check(started.endpoint), started.endpoint)
