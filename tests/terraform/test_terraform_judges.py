"""Others judge the Terraform code: checkov and trivy, on what is written and on what is planned."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.model.lifetime import Lifetime
from provision.model.schedules import schedules
from tests.terraform.program import REGION, TERRAFORM, Workspace, needs_terraform
from tests.terraform.readme import example

JUDGES = Path(__file__).parents[2] / ".venv-judges" / "bin"
EXEMPTIONS = 3
NOWHERE = "http://127.0.0.1:9"  # the discard port: a judge that asks its maker fails at once
HOURS = Lifetime.model_validate(
    {"hours": "Mon-Fri 08:00-20:00 UTC", "until": "2027-07-31", "at_end": "teardown"}
)
COURSE = {
    "name": "churn",
    "region": REGION,
    "user_data": "#cloud-config\n",
    "lifetime": {
        "ends_on": "2027-07-31",
        "alarm_email": "team@example.com",
        "webhook": "https://alerts.example.com/sns",
        "budget": 50,
        "schedules": {name: one.to_json() for name, one in schedules("churn", HOURS).items()},
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform-judges")]


@pytest.fixture(scope="module")
def plans(
    stack: Callable[[str], Workspace], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Both profiles' plans as JSON: the README's team, with a key of its own, and a course."""
    folder = tmp_path_factory.mktemp("plans")
    tracking = stack("tracking")
    course = tracking.plan(COURSE, "course")
    (tracking.root / "terraform.tfvars").write_text(
        example(TERRAFORM / "stacks/tracking"), encoding="utf-8"
    )
    team = tracking.plan({"lifetime": COURSE["lifetime"]}, "team")
    for name, plan in (("course", course), ("team", team)):
        (folder / f"{name}.json").write_text(json.dumps(plan), encoding="utf-8")
    return {name: folder / f"{name}.json" for name in ("course", "team")}


def judge(program: str, *arguments: str, folder: Path) -> Any:
    binary = JUDGES / program
    if not binary.exists():
        reason = f"{program} is not installed: make judges"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (CI is set, where nothing may be left out)", pytrace=False)
        pytest.skip(reason)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
    }
    done = subprocess.run(
        [binary, *arguments],
        cwd=TERRAFORM,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def checkov(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """How many rules hold, and which do not."""
    found = judge(
        "checkov", "--config-file", str(TERRAFORM / ".checkov.yaml"), "-o", "json", *arguments,
        folder=folder,
    )  # fmt: skip
    failed = {check["check_id"] for check in found["results"]["failed_checks"]}
    return found["summary"]["passed"], failed


def trivy(folder: Path, target: Path, *arguments: str) -> tuple[int, set[str]]:
    """How many rules hold, and which do not."""
    found = judge(
        "trivy", "config", "--skip-check-update", "--format", "json", "--include-non-failures",
        "--cache-dir", str(folder / "cache"), "--ignorefile", str(TERRAFORM / ".trivyignore"),
        *arguments, str(target),
        folder=folder,
    )  # fmt: skip
    results = found.get("Results", [])
    rules = [rule for result in results for rule in result.get("Misconfigurations", [])]
    passed = sum(result.get("MisconfSummary", {}).get("Successes", 0) for result in results)
    return passed, {rule["ID"] for rule in rules if rule["Status"] == "FAIL"}


def left_out(file: str, pattern: str) -> list[str]:
    return re.findall(pattern, (TERRAFORM / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_checkov_has_no_objection_to_the_modules(tmp_path: Path) -> None:
    arguments = ("--framework", "terraform", "-d", str(TERRAFORM / "modules"))
    passed, failed = checkov(tmp_path, *arguments)
    assert not failed
    assert passed > 50


@needs_terraform
def test_checkov_has_no_objection_to_what_a_team_gets(
    plans: dict[str, Path], tmp_path: Path
) -> None:
    passed, failed = checkov(tmp_path, "--framework", "terraform_plan", "-f", str(plans["team"]))
    assert not failed
    assert passed > 50


@needs_terraform
def test_checkov_objects_to_no_more_of_a_course_than_the_readme_says(
    plans: dict[str, Path], tmp_path: Path
) -> None:
    _, failed = checkov(tmp_path, "--framework", "terraform_plan", "-f", str(plans["course"]))
    said = (TERRAFORM / "README.md").read_text(encoding="utf-8").partition("What `course` fails")[2]
    numbers = set(re.findall(r"(?<!\d)\d{2,3}(?!\d)", said.partition("\n\n")[0]))
    assert {rule.rpartition("_")[2] for rule in failed} == numbers


def test_trivy_has_no_objection_to_the_modules(tmp_path: Path) -> None:
    passed, failed = trivy(tmp_path, TERRAFORM / "modules")
    assert not failed
    assert passed > 20


def test_trivy_has_no_objection_to_what_a_team_gets(tmp_path: Path) -> None:
    """From the code with the README's values: in a plan it does not find a bucket's settings."""
    values = tmp_path / "team.tfvars"
    values.write_text(example(TERRAFORM / "stacks/tracking"), encoding="utf-8")
    target = TERRAFORM / "stacks/tracking"
    passed, failed = trivy(tmp_path, target, "--tf-vars", str(values))
    assert not failed
    assert passed > 20


def test_the_exemptions_are_few_and_each_has_its_reason() -> None:
    for_checkov = left_out(".checkov.yaml", r"^ +# .{40,}\n +- (CKV2?_AWS_\d+)$")
    for_trivy = left_out(".trivyignore", r"^# .{40,}\n(AVD-AWS-\d+|AWS-\d+)$")
    assert 1 <= len(for_checkov) <= EXEMPTIONS
    assert len(for_checkov) == len(left_out(".checkov.yaml", r"^ +- "))
    assert 1 <= len(for_trivy) <= EXEMPTIONS
    assert len(for_trivy) == len(left_out(".trivyignore", r"^[^#\n]"))
