"""From a spec to a plan in words, through the real Terraform and the real provider."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.specfile import load_spec, parse
from provision.model.guards import require_allowed
from provision.model.plan import Action, Plan
from provision.model.plan_words import words
from provision.model.spec import Spec
from provision.model.variables import variables
from tests.terraform.program import TERRAFORM, Workspace, needs_terraform, only
from tests.unit import recorded

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("terraform-variables")]
SPECS = Path(__file__).parents[1] / "unit" / "specs" / "ok"
USER_DATA = "#cloud-config\n"
COURSE = """\
target: aws
aws:
  region: eu-west-1
  ingress: [203.0.113.0/24]
lifetime:
  until: 2027-07-31
  alarm_email: a@example.com
tags: {course: mlops}
"""


@pytest.fixture(scope="module")
def tracking(stack: Callable[[str], Workspace]) -> Workspace:
    return stack("tracking")


def given(spec: Spec) -> dict[str, Any]:
    """The variables for the emulated account, without those that the root does not know yet."""
    region = spec.aws.region or "eu-west-1"
    values = variables(
        spec, account="123456789012", run="r-0a1b2c3d", user_data=USER_DATA, region=region
    )
    text = (TERRAFORM / "stacks/tracking/variables.tf").read_text(encoding="utf-8")
    known = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    return {name: value for name, value in values.items() if name in known}


def test_a_course_is_planned_as_it_was_recorded(tracking: Workspace) -> None:
    document = tracking.plan(given(parse(COURSE, "provision.yaml", "churn")), "course")
    found, before = Plan.from_json(document), recorded.plan("create")
    assert [change.address for change in found.changes] == [c.address for c in before.changes]
    assert found.counts == {Action.CREATE: len(before.changes)}
    assert words(found) == words(before)
    require_allowed(found)


def test_every_setting_of_a_spec_reaches_the_plan(tracking: Workspace) -> None:
    spec = load_spec(SPECS / "everything-aws.yaml")
    values = {**given(spec), "account_id": "123456789012"}
    # The emulated account knows the image of one architecture.
    values["settings"]["image_parameter"] = "/aws/service/debian/release/12/latest/amd64"
    document = tracking.plan(values, "everything")
    machine, database = only(document, "aws_instance"), only(document, "aws_db_instance")
    assert machine["instance_type"] == "c7gn.large"
    assert machine["iam_instance_profile"] == "LabInstanceProfile"
    assert machine["root_block_device"][0]["volume_size"] == 40
    assert database["engine_version"] == "17"
    assert (database["allocated_storage"], database["max_allocated_storage"]) == (100, 110)
    assert database["final_snapshot_identifier"] == "churn-2027"
    assert database["ca_cert_identifier"] == "rds-ca-ecc384-g1"
    assert only(document, "aws_vpc")["cidr_block"] == "10.20.0.0/16"
    assert only(document, "aws_flow_log")["traffic_type"] == "ALL"
    assert not Plan.from_json(document).is_empty


def test_an_existing_network_is_used_as_the_spec_names_it(tracking: Workspace) -> None:
    spec = load_spec(SPECS / "aws-existing-network.yaml")
    values = {**given(spec), "region": "eu-west-1"}
    document = tracking.plan(values, "existing")
    assert only(document, "aws_instance")["subnet_id"] == spec.aws.network.public_subnet
    changes = Plan.from_json(document).changes
    assert not any(change.address.startswith("module.network") for change in changes)
