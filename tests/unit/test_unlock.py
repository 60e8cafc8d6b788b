"""`provision unlock`: who is shown, what is refused, what is removed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.adapters.terraform import owner
from provision.adapters.terraform.locks import LOCAL_LOCK
from provision.adapters.wheels import WheelCache
from provision.app.unlock import Holder, UnlockResult, said, unlock
from provision.cli.texts import unlock as text_of
from provision.errors import MissingError, RefusedError
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.model.terraform_lock import LockInfo
from provision.targets.aws import AwsTarget
from provision.targets.aws_host import AwsHost
from provision.targets.aws_record import Access, AwsPaths
from provision.targets.base import Held
from provision.wiring import ask_beside
from tests.progress import Quiet

NOW = datetime(2026, 11, 21, 10, 12, tzinfo=UTC)
TAKEN = "2026-11-21T07:00:00.123456789Z"


class NoAccount:
    """No way to any account: what lies on this machine must do."""

    def real(self) -> Access:
        raise MissingError("no credentials", next_step="sign in")

    def emulated(self, *, start: bool, say: object = None) -> Access | None:
        return None

    def end_emulated(self) -> None:
        pass


@pytest.fixture
def target(tmp_path: Path) -> AwsTarget:
    spec = Spec.model_validate({"name": "churn", "target": "aws", "aws": {"region": "eu-west-1"}})
    layout = Layout.below(tmp_path / ".provision", "churn")
    cache = WheelCache(tmp_path / "cache", "", {})
    host = AwsHost(spec, AwsPaths.below(layout.root), cache, "")
    file = tmp_path / "provision.yaml"
    return AwsTarget(spec, file, layout, NoAccount(), host=host, now=str, ask=ask_beside)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that Terraform works in."""
    folder = AwsPaths.below(tmp_path / ".provision/churn").terraform / "stacks/tracking"
    folder.mkdir(parents=True)
    return folder


def lock(root: Path, *, host: str = "her-laptop", identity: str = "1d4a") -> Path:
    file = root / LOCAL_LOCK
    file.write_text(
        json.dumps(
            {
                "ID": identity,
                "Who": f"ana@{host}",
                "Operation": "OperationTypeApply",
                "Created": TAKEN,
            }
        ),
        encoding="utf-8",
    )
    return file


def unlocked(target: AwsTarget, confirm: Callable[[Holder], None]) -> UnlockResult:
    return unlock(target, "churn", confirm=confirm, progress=Quiet(), now=NOW)


def agree(_: Holder) -> None:
    pass


def never(_: Holder) -> None:
    pytest.fail("nothing was to be asked")


def test_what_is_not_locked_is_said_to_be_free(target: AwsTarget) -> None:
    assert unlocked(target, never) == UnlockResult("churn", False, "nothing is locked")


def test_a_lock_of_another_machine_is_shown_and_removed(target: AwsTarget, root: Path) -> None:
    file = lock(root)
    asked: list[Holder] = []
    result = unlocked(target, asked.append)
    holder = Holder("1d4a", "ana@her-laptop", "apply", TAKEN, 11519, None, str(file))
    assert (asked, result.holder, result.removed) == ([holder], holder, True)
    assert not file.exists()
    assert said(holder) == f"ana@her-laptop (apply since {TAKEN}, for 3 h 11 min)"
    shown = text_of(result, lambda _, text: text)
    assert shown == "churn: the lock of ana@her-laptop is removed"


def test_without_consent_the_lock_stays(target: AwsTarget, root: Path) -> None:
    file = lock(root)

    def refuse(_: Holder) -> None:
        raise RefusedError("no", next_step="")

    with pytest.raises(RefusedError, match="no"):
        unlocked(target, refuse)
    assert file.exists()


def test_while_its_process_lives_nothing_is_asked_or_removed(target: AwsTarget, root: Path) -> None:
    file = lock(root, host=socket.gethostname())
    with (
        owner.recorded(root, os.getpid(), ["terraform", "apply"]),
        pytest.raises(RefusedError, match="that process still runs") as error,
    ):
        unlocked(target, never)
    assert "3 h 11 min" in error.value.message
    assert error.value.exit_code == 4
    assert file.exists()


def test_the_lock_of_a_process_that_is_gone_is_removed_with_its_record(
    target: AwsTarget, root: Path
) -> None:
    file = lock(root, host=socket.gethostname())
    process = subprocess.Popen(["sleep", "60"])
    killed = contextlib.ExitStack()
    killed.enter_context(owner.recorded(root, process.pid, ["terraform", "apply"]))
    process.kill()
    process.wait()
    result = unlocked(target, agree)
    assert result.holder is not None and result.holder.lives is False
    assert not file.exists()
    assert owner.find(root) == []


def test_a_lock_that_changed_hands_while_one_was_asked_stays(target: AwsTarget, root: Path) -> None:
    file = lock(root)
    with pytest.raises(RefusedError, match="another command has taken the lock meanwhile"):
        unlocked(target, lambda _: lock(root, identity="2e5b") and None)
    assert file.exists()


def test_an_owner_who_comes_to_life_meanwhile_keeps_his_lock(target: AwsTarget, root: Path) -> None:
    file = lock(root, host=socket.gethostname())
    with contextlib.ExitStack() as later:

        def begin(_: Holder) -> None:
            later.enter_context(owner.recorded(root, os.getpid(), ["terraform", "apply"]))

        with pytest.raises(RefusedError, match="still works on this stack"):
            unlocked(target, begin)
    assert file.exists()


def test_a_lock_that_went_by_itself_is_fine(target: AwsTarget, root: Path) -> None:
    file = lock(root)
    assert unlocked(target, lambda _: file.unlink()).removed


def test_a_command_at_work_here_keeps_the_folder(target: AwsTarget, root: Path) -> None:
    """It may be about to take the lock itself."""
    from provision.adapters import workspace

    file = lock(root)
    busy = workspace.exclusive(root.parents[2] / "lock", wait_seconds=0, on_wait=print)
    with busy, pytest.raises(RefusedError, match="another provision command"):
        unlocked(target, agree)
    assert file.exists()


@pytest.mark.parametrize(
    ("created", "age"),
    [
        (TAKEN, 11519.876544),
        ("2026-11-21T10:12:00Z", 0.0),
        ("2026-11-21 07:00:00.1 +0000 UTC", None),
        ("2026-11-21T07:00:00", None),
        ("", None),
    ],
)
def test_the_age_of_a_lock(created: str, age: float | None) -> None:
    assert LockInfo("1", "ana@laptop", "apply", created).age(NOW) == age


def test_a_lock_of_a_clock_that_is_ahead_is_new() -> None:
    class Target:
        def state_lock(self) -> Target:
            return self

        def holder(self) -> Held:
            taken = LockInfo("1", "ana@laptop", "apply", "2026-11-21T10:13:00Z")
            return Held(taken, None, "s3://bucket/key")

        def remove(self, held: Held, progress: object) -> None:
            pass

    seen: list[Holder] = []
    unlock(Target(), "churn", confirm=seen.append, progress=Quiet(), now=NOW)  # type: ignore[arg-type]
    assert seen[0].age_seconds == 0
