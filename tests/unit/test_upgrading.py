"""An upgrade's order of steps: what is stopped, switched, proven, taken back and kept, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provision.adapters.packages import is_in
from provision.adapters.workspace import copy_folder
from provision.app.data import DataWork
from provision.app.upgrade import AccountUpgrade, Upgrade, UpgradeResult
from provision.errors import CheckFailedError, ProvisionError, RefusedError, UserInterruptError
from provision.model.layout import Layout
from provision.model.report import Finding, Outcome, Report
from provision.model.spec import Spec
from provision.model.status import State
from provision.targets.base import Target, UpOptions
from provision.targets.guards import require_same_place
from tests.progress import Quiet

MIGRATED = {"tracking": {"from": "a", "to": "b", "rows": 8}}


@dataclass
class Stack:
    """A target, its switch and its data, which remember what was done."""

    done: list[str] = field(default_factory=list)
    installed: tuple[str, str] = ("3.16.1", "3.17.2")
    under_way: str = ""
    left: str = ""
    trouble: Exception | None = None
    broken_copy: bool = False

    def versions(self) -> tuple[str, str]:
        return self.installed

    @contextmanager
    def copied(self, _: Quiet) -> Iterator[Mapping[str, Any]]:
        self.done.append("copied")
        yield {}

    def migrate(self, _: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        self.done.append("migrated")
        if self.broken_copy:
            raise ProvisionError("the migration fails on a copy", next_step="stay")
        return MIGRATED

    def switch(self, _: Quiet) -> None:
        self.done.append("switched")

    def back(self, _: Quiet) -> str:
        self.done.append("taken back")
        return self.left

    def start_old(self, _: Quiet) -> str:
        self.done.append("old one started")
        return ""

    def keep(self, name: str, _: Quiet) -> Path:
        self.done.append(f"kept {name}")
        return Path("/backups") / name

    def snapshot(self) -> Any:
        return SimpleNamespace(state=State.RUNNING)

    def down(self, *_: object) -> None:
        self.done.append("stopped")

    def up(self, *_: object) -> Any:
        self.done.append("started")
        if self.trouble:
            raise self.trouble
        return SimpleNamespace(endpoint=SimpleNamespace(uri="http://there"))

    def upgrade(self, outcome: Outcome = Outcome.OK) -> Upgrade:
        report = Report("http://there", [Finding("x", "a request", outcome, "seen", "why", "mend")])
        now = datetime(2026, 11, 28, tzinfo=UTC)
        return Upgrade(
            "churn", cast("Target", self), cast("Any", self), cast("DataWork", self),
            lambda _: report, now, Quiet(),
        )  # fmt: skip


def agree(_old: str, _new: str) -> None:
    pass


def run(stack: Stack, outcome: Outcome = Outcome.OK) -> UpgradeResult:
    return stack.upgrade(outcome).run(agree)


FORWARD = ["stopped", "copied", "migrated", "switched", "started"]
KEPT = "kept upgrade-from-3.16.1-20261128-000000"


def test_a_copy_is_migrated_and_moves_in() -> None:
    stack = Stack()
    result = run(stack)
    assert stack.done == [*FORWARD, KEPT]
    assert (result.changed, result.before, result.now) == (True, "3.16.1", "3.17.2")
    assert (result.pin, result.schemas) == ("mlflow==3.17.2", MIGRATED)


def test_nothing_newer_is_nothing_to_do() -> None:
    stack = Stack(installed=("3.17.2", "3.17.2"))
    assert not run(stack).changed and stack.done == []


def test_without_consent_nothing_is_stopped() -> None:
    def refuse(_old: str, _new: str) -> None:
        raise RefusedError("no", next_step="--yes")

    stack = Stack()
    with pytest.raises(RefusedError):
        stack.upgrade().run(refuse)
    assert stack.done == []


def test_a_migration_that_fails_on_the_copy_leaves_the_old_one_running() -> None:
    stack = Stack(broken_copy=True)
    with pytest.raises(ProvisionError, match="fails on a copy"):
        run(stack)
    assert stack.done == ["stopped", "copied", "migrated", "old one started"]


@pytest.mark.parametrize(
    ("make", "outcome", "step"),
    [
        (Stack, Outcome.FAILED, "mend"),
        (lambda: Stack(left="install it"), Outcome.FAILED, "install it"),
        (
            lambda: Stack(trouble=ProvisionError("it does not start", next_step="logs")),
            Outcome.OK,
            "logs",
        ),
    ],
)
def test_what_clients_cannot_use_is_taken_back(
    make: Callable[[], Stack], outcome: Outcome, step: str
) -> None:
    stack = make()
    with pytest.raises(CheckFailedError, match=r"back at 3\.16\.1, with its") as failed:
        run(stack, outcome)
    assert (stack.done, failed.value.next_step) == ([*FORWARD, "taken back"], step)


def test_an_interruption_is_gone_on_with_and_not_taken_back() -> None:
    stack = Stack(trouble=UserInterruptError("stopped", next_step="again"))
    with pytest.raises(UserInterruptError):
        run(stack)
    assert stack.done == FORWARD
    again = Stack(under_way="3.16.1", installed=("3.17.2", "3.17.2"))
    result = run(again)
    assert again.done == ["switched", "started", KEPT]
    assert (result.changed, result.before) == (True, "3.16.1")


@dataclass
class InAnAccount(Stack):
    """The same in an account, where a backup is the way back."""

    told: bool = True
    mlflow_version: str = "3.16.1"

    def backups(self) -> InAnAccount:
        return self

    def make(self, name: str, _: Quiet) -> Any:
        self.done.append(f"backup {name}")
        return SimpleNamespace(name=name)

    def has_new_program(self, _: object) -> bool:
        return self.told

    def rewind(self, backup: Any, _: Quiet, *, program: bool) -> list[str]:
        self.done.append(f"back to {backup.name}, program {program}")
        return []

    def account_upgrade(self, outcome: Outcome = Outcome.OK) -> AccountUpgrade:
        usual = self.upgrade(outcome)
        return AccountUpgrade(
            "churn", cast("Any", self), "3.17.2", usual.check, UpOptions(), usual.now, Quiet()
        )

    def up(self, *_: object) -> Any:
        started = super().up()
        started.serving = True
        return started


BACKUP = "backup upgrade-20261128-000000"
WAY_BACK = "back to upgrade-20261128-000000, program True"


def test_in_an_account_a_backup_comes_first() -> None:
    stack = InAnAccount()
    result = stack.account_upgrade().run(agree)
    assert (stack.done, result.kept) == ([BACKUP, "started"], BACKUP)
    assert not InAnAccount(mlflow_version="3.17.2").account_upgrade().run(agree).changed


@pytest.mark.parametrize("trouble", [None, ProvisionError("a phase failed", next_step="logs")])
def test_in_an_account_database_and_program_come_back(trouble: Exception | None) -> None:
    stack = InAnAccount(trouble=trouble)
    with pytest.raises(CheckFailedError, match=r"back at 3\.16\.1"):
        stack.account_upgrade(Outcome.FAILED).run(agree)
    assert stack.done == [BACKUP, "started", WAY_BACK]


def test_what_fails_before_the_machine_was_told_takes_nothing_back() -> None:
    stack = InAnAccount(told=False, trouble=RefusedError("a guard", next_step="see"))
    with pytest.raises(RefusedError, match="a guard"):
        stack.account_upgrade().run(agree)
    assert stack.done == [BACKUP, "started"]


def test_a_server_is_not_started_empty_between_the_two_renames(tmp_path: Path) -> None:
    spec, layout = Spec(name="churn"), Layout.below(tmp_path, "churn")
    require_same_place(None, spec, layout)
    layout.before_upgrade.mkdir(parents=True)
    with pytest.raises(RefusedError, match="an upgrade of churn was cut off") as refused:
        require_same_place(None, spec, layout)
    assert refused.value.next_step == "provision upgrade goes on with it"
    layout.data.mkdir()
    require_same_place(None, spec, layout)


def test_another_environment_has_that_very_version_or_not(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    (tmp_path / "lib/python3.11/site-packages/mlflow-3.16.1.dist-info").mkdir(parents=True)
    assert not is_in(str(python), "mlflow", "3.16.1"), "its interpreter is gone"
    python.parent.mkdir()
    python.touch()
    assert is_in(str(python), "mlflow", "3.16.1")
    assert not is_in(str(python), "mlflow", "3.16.2") and not is_in("", "mlflow", "3.16.1")


def test_a_folder_is_copied_with_modes_and_links(tmp_path: Path) -> None:
    source = tmp_path / "data"
    (source / "inner").mkdir(parents=True, mode=0o700)
    (source / "inner" / "file").write_text("x")
    (source / "inner" / "file").chmod(0o640)
    (source / "link").symlink_to("inner/file")
    copy_folder(source, tmp_path / "copy")
    file = tmp_path / "copy" / "inner" / "file"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("x", 0o640)
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_uid) == (0o700, source.stat().st_uid)
    assert (tmp_path / "copy" / "link").readlink() == Path("inner/file")
