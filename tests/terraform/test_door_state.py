"""The state comes back: cut off, empty, lost, another stack's, stored nowhere, on a full disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.terraform.door import Terraform
from provision.errors import MissingError, RefusedError
from tests.terraform.door import door, up
from tests.terraform.program import needs_terraform

pytestmark = needs_terraform
_TWO = """
resource "terraform_data" "one" {
  input = 1
}

resource "terraform_data" "two" {
  input = terraform_data.one.output
}
"""


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def applied(tmp_path: Path, notes: list[str]) -> Terraform:
    terraform = door(tmp_path / "root", _TWO, notes)
    up(terraform)
    return terraform


def _changes(terraform: Terraform) -> bool:
    return terraform.plan(terraform.write_variables({}), terraform.root / "plan")


def _state(terraform: Terraform) -> dict[str, Any]:
    value = json.loads(terraform.files.path.read_bytes())
    assert isinstance(value, dict)
    return value


def test_terraform_alone_would_plan_everything_anew(applied: Terraform) -> None:
    """Why all this is needed: a newer Terraform that refuses by itself makes it simpler."""
    applied.files.path.write_bytes(b"")
    words = ["terraform", "plan", "-detailed-exitcode"]
    done = subprocess.run(words, cwd=applied.root, capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert "2 to add" in done.stdout


@pytest.mark.parametrize("kept", [0, 1, 200, -2])
def test_a_state_that_is_cut_off_is_restored_and_never_planned_anew(
    applied: Terraform, notes: list[str], kept: int
) -> None:
    whole = applied.files.path.read_bytes()
    applied.files.path.write_bytes(whole[:kept])
    assert not _changes(applied)
    assert applied.files.path.read_bytes() == whole
    assert "was not whole" in notes[0] and "2 resources" in notes[0]
    (aside,) = applied.root.glob("terraform.tfstate.set-aside-*")
    assert aside.read_bytes() == whole[:kept]


def test_a_state_that_was_removed_is_restored(applied: Terraform, notes: list[str]) -> None:
    applied.files.path.unlink()
    assert not _changes(applied)
    assert "was missing" in notes[0]


def test_the_state_of_another_stack_is_set_aside(applied: Terraform, notes: list[str]) -> None:
    other = {**_state(applied), "lineage": "another", "serial": 99}
    applied.files.path.write_text(json.dumps(other), encoding="utf-8")
    assert not _changes(applied)
    assert "another stack" in notes[0]


def test_an_older_state_is_set_aside(applied: Terraform, notes: list[str]) -> None:
    (applied.root / "main.tf").write_text(_TWO.replace("= 1", "= 2"), encoding="utf-8")
    before = applied.files.path.read_bytes()
    up(applied)
    applied.files.path.write_bytes(before)
    assert not _changes(applied)
    assert "was older" in notes[0]


def test_a_newer_state_of_the_same_stack_is_taken(applied: Terraform, notes: list[str]) -> None:
    """Somebody ran Terraform by hand, or we were killed before the copy."""
    (applied.root / "main.tf").write_text(_TWO.replace("= 1", "= 2"), encoding="utf-8")
    words = ["terraform", "apply", "-auto-approve"]
    subprocess.run(words, cwd=applied.root, capture_output=True, check=True)
    assert not _changes(applied)
    assert notes == []


def test_without_a_copy_a_state_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    terraform = door(tmp_path / "root", _TWO)
    terraform.files.path.write_bytes(b"")
    with pytest.raises(RefusedError, match="a second time") as error:
        _changes(terraform)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("content", [b"", b'{"version": 4, "line'])
def test_half_of_a_first_state_is_let_go_by_who_looks_for_what_exists(
    tmp_path: Path, content: bytes
) -> None:
    notes: list[str] = []
    terraform = door(tmp_path / "root", _TWO, notes)
    terraform.begin_anew()
    assert notes == [], "there was nothing to let go"
    terraform.files.path.write_bytes(content)
    terraform.begin_anew()
    assert "found by its tags" in notes[0]
    assert _changes(terraform)
    assert terraform.files.path.with_name("terraform.tfstate.set-aside-1").read_bytes() == content


def test_a_state_that_has_a_copy_is_never_let_go(applied: Terraform, notes: list[str]) -> None:
    whole = _state(applied)
    applied.files.path.write_bytes(b"{")
    applied.begin_anew()
    assert applied.files.path.read_bytes() == b"{"
    assert applied.state() == whole, "who reads it gets it from the copy"
    assert "restored from our copy" in notes[0]


def test_terraforms_own_backup_serves_where_there_is_no_copy(
    applied: Terraform, notes: list[str]
) -> None:
    (applied.root / "main.tf").write_text(_TWO.replace("= 1", "= 2"), encoding="utf-8")
    up(applied)
    for copy in applied.files.copies.glob("*.tfstate"):
        copy.unlink()
    applied.files.path.write_bytes(b"{")
    assert _changes(applied), "the backup is one change older"
    assert "restored" in notes[0]
    assert len(_state(applied)["resources"]) == 2


def test_a_state_of_a_newer_terraform_is_refused_with_its_version(applied: Terraform) -> None:
    newer = {**_state(applied), "terraform_version": "9.8.7", "version": 5}
    applied.files.path.write_text(json.dumps(newer), encoding="utf-8")
    before = applied.files.path.read_bytes()
    with pytest.raises(MissingError, match=r"newer Terraform \(9\.8\.7\)"):
        _changes(applied)
    assert applied.files.path.read_bytes() == before


def test_ten_copies_are_kept_and_all_are_private(applied: Terraform) -> None:
    for number in range(2, 14):
        text = _TWO.replace("= 1", f"= {number}")
        (applied.root / "main.tf").write_text(text, encoding="utf-8")
        up(applied)
    copies = sorted(applied.files.copies.glob("*.tfstate"))
    assert len(copies) == 10
    assert copies[-1].read_bytes() == applied.files.path.read_bytes()
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}
    assert applied.files.path.stat().st_mode & 0o777 == 0o600


def test_a_state_that_others_could_read_is_closed(applied: Terraform) -> None:
    applied.files.path.chmod(0o644)
    _changes(applied)
    assert applied.files.path.stat().st_mode & 0o777 == 0o600


def test_an_errored_state_is_found_and_put_in_its_place(
    applied: Terraform, notes: list[str]
) -> None:
    state = _state(applied)
    newer = {**state, "serial": state["serial"] + 1}
    applied.files.errored.write_text(json.dumps(newer), encoding="utf-8")
    assert not _changes(applied)
    assert "errored.tfstate" in notes[0]
    assert _state(applied)["serial"] == newer["serial"]
    assert not applied.files.errored.exists()


def test_an_older_errored_state_changes_nothing(applied: Terraform, notes: list[str]) -> None:
    state = _state(applied)
    older = {**state, "serial": state["serial"] - 1, "resources": []}
    applied.files.errored.write_text(json.dumps(older), encoding="utf-8")
    assert not _changes(applied)
    assert _state(applied) == state and notes == []


def test_a_state_can_be_pushed_and_an_older_one_cannot(applied: Terraform) -> None:
    state = _state(applied)
    file = applied.root / "pushed.tfstate"
    file.write_text(json.dumps({**state, "serial": state["serial"] + 5}), encoding="utf-8")
    applied.push_state(file)
    assert _state(applied)["serial"] == state["serial"] + 5
    file.write_text(json.dumps({**state, "serial": 1, "resources": []}), encoding="utf-8")
    with pytest.raises(RefusedError, match="newer than the one at hand"):
        applied.push_state(file)


@pytest.mark.needs("unshare")
def test_a_full_disk_loses_no_state(tmp_path: Path) -> None:
    disk, report = tmp_path / "disk", tmp_path / "report.json"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=6m none '{disk}' && exec \"$@\""
    module = [sys.executable, "-m", "tests.terraform.full_disk", str(disk), str(report)]
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *module]
    subprocess.run(words, check=True)
    found = json.loads(report.read_text(encoding="utf-8"))
    assert "is full" in found["error"]["message"] and found["error"]["exit_code"] == 5
    assert "was saved from what Terraform printed" in found["notes"][0]
    assert {"first", "second"} <= set(found["names"])
    assert set(found["to_create"]).isdisjoint(found["names"]), "nothing is made a second time"
    assert found["mode"] == "0o600"


@pytest.mark.needs("unshare")
def test_a_disk_without_room_for_the_state_is_told_before_anything_changes(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program = (
        "import sys; from pathlib import Path\n"
        "from provision.adapters.terraform.state_files import StateFiles\n"
        "from provision.errors import MissingError\n"
        "try: StateFiles(Path(sys.argv[1])).reserve()\n"
        "except MissingError as error: print(error.message, list(Path(sys.argv[1]).rglob('*r*')))"
    )
    script = f"mount -t tmpfs -o size=1m none '{disk}' && exec \"$@\""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    words += [sys.executable, "-c", program, str(disk)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "has no room for the stack's state" in done.stdout
    assert done.stdout.strip().endswith("[]")
