"""The door with the real Terraform and no provider: the road, and what stops it on the way."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from provision.adapters.terraform import owner
from provision.errors import ProvisionError, RefusedError, UserInterruptError
from provision.model.terraform_events import Event, Outputs, ResourceEvent, Summary
from tests.terraform.door import SECRET, SLOW, door, up
from tests.terraform.program import needs_terraform

pytestmark = needs_terraform


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_the_whole_road(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW)
    plan = terraform.root / "plan"
    assert terraform.outputs() == {}
    assert terraform.state() is None

    values = terraform.write_variables({"seconds": 0, "password": SECRET})
    events: list[Event] = []
    assert terraform.plan(values, plan, on_event=events.append)
    assert Summary("plan", 2, 0, 0) in events
    assert len(terraform.show(plan)["resource_changes"]) == 2

    events.clear()
    terraform.apply(plan, on_event=events.append)
    done = [e.address for e in events if isinstance(e, ResourceEvent) and e.kind == "done"]
    assert done == ["terraform_data.quick", "terraform_data.slow"]
    assert Outputs({"endpoint": "http://198.51.100.7"}) in events
    assert terraform.outputs()["password"]["value"] == SECRET
    state = terraform.state()
    assert state is not None and len(state["resources"]) == 2

    assert not terraform.plan(values, plan), "nothing is left to do"
    assert terraform.plan(values, plan, destroy=True)
    terraform.apply(plan)
    state = terraform.state()
    assert state is not None and state["resources"] == []


def test_a_secret_is_in_no_log_no_argument_and_no_file_that_others_can_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    arguments: list[str] = []

    def look(_: Event) -> None:
        for found in owner.find(terraform.root):
            with contextlib.suppress(psutil.NoSuchProcess):
                arguments.extend(psutil.Process(found.pid).cmdline())

    before = os.umask(0)  # the most careless user
    try:
        terraform = door(tmp_path / "root", SLOW)
        values = terraform.write_variables({"seconds": 1, "password": SECRET})
        terraform.plan(values, terraform.root / "plan", on_event=look)
        terraform.apply(terraform.root / "plan", on_event=look)
    finally:
        os.umask(before)
    assert "apply" in arguments
    assert SECRET not in " ".join(arguments) + caplog.text + "".join(capfd.readouterr())
    holding = [p for p in terraform.root.rglob("*") if p.is_file() and _holds(p)]
    assert {p.name for p in holding} >= {"terraform.tfstate", "plan", "provision.tfvars.json"}
    assert [p for p in holding if p.stat().st_mode & 0o077] == []
    assert terraform.root.stat().st_mode & 0o077 == 0


def _holds(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return SECRET.encode() in path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return any(SECRET.encode() in archive.read(name) for name in archive.namelist())


def test_a_variable_file_that_others_can_read_is_closed_before_use(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW)
    values = tmp_path / "own.tfvars.json"
    values.write_text('{"seconds": 0}', encoding="utf-8")
    values.chmod(0o644)
    terraform.plan(values, terraform.root / "plan")
    assert values.stat().st_mode & 0o777 == 0o600


def test_init_runs_once_and_again_when_the_configuration_changes(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW)
    stamp = terraform.root / ".terraform/provision-initialised"
    first = stamp.stat().st_mtime_ns
    terraform.init()
    assert stamp.stat().st_mtime_ns == first
    (terraform.root / "more.tf").write_text("# more", encoding="utf-8")
    terraform.init()
    assert stamp.stat().st_mtime_ns != first


# -- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_user_stops_it_and_is_told_what_is_left(tmp_path: Path, number: signal.Signals) -> None:
    notes: list[str] = []
    terraform = door(tmp_path / "root", SLOW, notes)

    def impatient(event: Event) -> None:
        if isinstance(event, ResourceEvent) and _starts(event, "terraform_data.slow"):
            _until((terraform.root / "started").exists)
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    terraform.plan(terraform.write_variables({"seconds": 60}), terraform.root / "plan")
    with pytest.raises(UserInterruptError) as error:
        terraform.apply(terraform.root / "plan", on_event=impatient)
    assert error.value.exit_code == 130
    assert error.value.message == (
        "interrupted; 1 change done and recorded in the state; not finished: terraform_data.slow"
    )
    assert [note.split()[0] for note in notes] == ["stopping:", "still"]
    assert terraform.lock() is None, "the lock is free"
    assert owner.find(terraform.root) == []
    assert terraform.files.newest_copy() is not None, "what was done is in the copy"
    up(terraform, {"seconds": 0})
    assert not terraform.plan(terraform.write_variables({"seconds": 0}), terraform.root / "plan")


def _starts(event: ResourceEvent, address: str) -> bool:
    return (event.kind, event.address) == ("started", address)


_OURS = """
import os, sys
from pathlib import Path
from tests.terraform.door import SLOW, door
terraform = door(Path(sys.argv[1]), SLOW)
terraform.plan(terraform.write_variables({"seconds": 4}), terraform.root / "plan")
terraform.apply(terraform.root / "plan")
"""


def _another(root: Path) -> subprocess.Popen[bytes]:
    """Another `provision`, in the middle of an apply."""
    process = subprocess.Popen([sys.executable, "-c", _OURS, str(root)])
    _until((root / "started").exists)
    return process


def test_when_we_are_killed_terraform_ends_in_order(tmp_path: Path) -> None:
    root = tmp_path / "root"
    process = _another(root)
    (running,) = owner.find(root)
    process.kill()
    process.wait()
    _until(lambda: not running.lives)
    assert not (root / ".terraform.tfstate.lock.info").exists()
    state = json.loads((root / "terraform.tfstate").read_text(encoding="utf-8"))
    assert "quick" in {resource["name"] for resource in state["resources"]}


def test_a_second_command_is_kept_out_while_the_first_works(tmp_path: Path) -> None:
    root = tmp_path / "root"
    process = _another(root)
    terraform = door(root, SLOW)
    lock = terraform.lock()
    assert lock is not None and lock.operation == "apply"
    assert terraform.owner_lives(lock)
    with pytest.raises(RefusedError, match="still at work"):
        terraform.plan(terraform.write_variables({"seconds": 0}), root / "other")
    with pytest.raises(RefusedError, match="still works on this stack"):
        terraform.force_unlock(lock.id)
    assert process.wait() == 0, "the first one is unharmed"


def test_after_a_kill_of_the_whole_group_the_lock_is_seen_to_be_dead(tmp_path: Path) -> None:
    root = tmp_path / "root"
    process = _another(root)
    (running,) = owner.find(root)
    os.kill(running.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    _until(lambda: not running.lives)
    terraform = door(root, SLOW)
    lock = terraform.lock()
    assert lock is not None
    assert terraform.owner_lives(lock) is False
    terraform.force_unlock(lock.id)
    assert terraform.lock() is None
    up(terraform, {"seconds": 0})


# -- failures -----------------------------------------------------------------------------------


def test_a_failure_names_the_cause_and_keeps_what_was_done(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW.replace("touch started", "exit 7"))
    with pytest.raises(ProvisionError, match="exit status 7") as error:
        up(terraform, {"seconds": 0})
    assert error.value.exit_code == 1
    state = terraform.state()
    assert state is not None and len(state["resources"]) == 2, "the failed one is marked in it"
    assert terraform.files.newest_copy() is not None


def test_a_configuration_that_is_wrong_is_told_in_terraforms_words(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW)
    (terraform.root / "main.tf").write_text('output "x" {\n value = nope.x\n}\n', encoding="utf-8")
    with pytest.raises(ProvisionError, match="Reference to undeclared resource"):
        terraform.plan(terraform.write_variables({}), terraform.root / "plan")


def test_a_plan_that_the_state_has_overtaken_is_not_applied(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", SLOW)
    values = terraform.write_variables({"seconds": 0})
    terraform.plan(values, terraform.root / "old")
    up(terraform, {"seconds": 0})
    with pytest.raises(RefusedError, match="no longer holds"):
        terraform.apply(terraform.root / "old")
