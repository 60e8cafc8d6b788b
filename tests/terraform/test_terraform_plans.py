"""What both profiles and the README's examples would make, read from the plan's JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.emulation import OVERRIDE, EmulatedAws
from tests.terraform.program import (
    MODULES,
    REGION,
    TERRAFORM,
    Workspace,
    needs_terraform,
    of_type,
    only,
    resources,
    workspace,
)
from tests.terraform.readme import example

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("terraform-plans")]
COURSE = {
    "name": "churn",
    "region": REGION,
    "user_data": "#cloud-config\n",
    "tags": {"course": "mlops"},
    "settings": {"instance_type": "t3.large", "backup_days": 14},
    "lifetime": {"ends_on": "2027-07-31"},
    "run": "20270131-9f86d081884c",
}
Plan = dict[str, Any]


@pytest.fixture(scope="module")
def tracking(stack: Callable[[str], Workspace]) -> Workspace:
    return stack("tracking")


@pytest.fixture(scope="module")
def course(tracking: Workspace) -> Plan:
    return tracking.plan(COURSE, "course")


@pytest.fixture(scope="module")
def team(tracking: Workspace) -> Plan:
    """The example in the stack's README."""
    file = tracking.root / "terraform.tfvars"
    file.write_text(example(TERRAFORM / "stacks/tracking"), encoding="utf-8")
    try:
        return tracking.plan({}, "team")
    finally:
        file.unlink()


def test_course_is_cheap_and_goes_in_one_step(course: Plan) -> None:
    database = only(course, "aws_db_instance")
    assert not database["multi_az"]
    assert not database["deletion_protection"]
    assert database["skip_final_snapshot"]
    assert not database["performance_insights_enabled"]
    assert database["monitoring_interval"] == 0
    assert not only(course, "aws_instance")["monitoring"]
    assert not of_type(course, "aws_flow_log")
    assert not of_type(course, "aws_cloudwatch_log_group")
    assert len(of_type(course, "aws_iam_role")) == 1


def test_team_is_protected_and_observed(team: Plan) -> None:
    database = only(team, "aws_db_instance")
    assert database["multi_az"]
    assert database["deletion_protection"]
    assert database["final_snapshot_identifier"] == "provision-churn-final"
    assert database["backup_retention_period"] == 30
    assert database["performance_insights_enabled"]
    assert only(team, "aws_flow_log")["traffic_type"] == "ALL"
    assert len(of_type(team, "aws_cloudwatch_log_group")) == 3


def test_single_settings_win_over_the_profile(course: Plan, team: Plan) -> None:
    assert only(course, "aws_instance")["instance_type"] == "t3.large"
    assert only(course, "aws_db_instance")["backup_retention_period"] == 14
    assert only(course, "aws_db_instance")["instance_class"] == "db.t4g.micro"
    assert only(team, "aws_instance")["instance_type"] == "t3.large"
    assert only(team, "aws_instance")["root_block_device"][0]["volume_size"] == 40


@pytest.mark.parametrize("profile", ["course", "team"])
def test_both_profiles_keep_what_security_demands(
    profile: str, request: pytest.FixtureRequest
) -> None:
    plan = request.getfixturevalue(profile)
    machine, database = only(plan, "aws_instance"), only(plan, "aws_db_instance")
    assert machine["metadata_options"][0]["http_tokens"] == "required"
    assert machine["metadata_options"][0]["http_put_response_hop_limit"] == 1
    assert machine["root_block_device"][0]["encrypted"]
    assert database["storage_encrypted"]
    assert not database["publicly_accessible"]
    assert database["manage_master_user_password"]
    assert database["ca_cert_identifier"] == "rds-ca-rsa2048-g1"
    assert not only(plan, "aws_s3_bucket")["force_destroy"]
    assert not of_type(plan, "aws_nat_gateway")
    switches = only(plan, "aws_s3_bucket_public_access_block")
    assert all(v for k, v in switches.items() if k.startswith(("block", "ignore", "restrict")))


@pytest.mark.parametrize("profile", ["course", "team"])
def test_every_resource_carries_the_stack_and_its_end(
    profile: str, request: pytest.FixtureRequest
) -> None:
    tagged = [v for v in resources(request.getfixturevalue(profile)).values() if "tags_all" in v]
    wanted = {"provision:stack": "churn", "provision:ends-on": "2027-07-31"}
    assert len(tagged) > 15
    assert all(wanted.items() <= values["tags_all"].items() for values in tagged)


def test_every_resource_carries_the_runs_id_where_there_is_one(course: Plan, team: Plan) -> None:
    for plan, run in ((course, "20270131-9f86d081884c"), (team, None)):
        tagged = [v["tags_all"] for v in resources(plan).values() if "tags_all" in v]
        assert {tags.get("provision:run") for tags in tagged} == {run}


def test_without_networks_nothing_is_open_to_the_internet(course: Plan) -> None:
    rules = of_type(course, "aws_vpc_security_group_ingress_rule")
    assert [a.split(".")[1] for a in rules] == ["backend_store"]
    assert all(rule["cidr_ipv4"] is None for rule in rules.values())


def test_only_named_networks_come_in(team: Plan) -> None:
    rules = of_type(team, "aws_vpc_security_group_ingress_rule").values()
    assert {r["cidr_ipv4"] for r in rules} == {"203.0.113.0/24", None}


@pytest.mark.parametrize("profile", ["course", "team"])
def test_no_policy_grants_by_wildcard(profile: str, request: pytest.FixtureRequest) -> None:
    plan = request.getfixturevalue(profile)
    policies = of_type(plan, "aws_iam_role_policy").values()
    known = [json.loads(p["policy"])["Statement"] for p in policies if p.get("policy")]
    assert known
    for statement in (s for statements in known for s in statements):
        assert all("*" not in action for action in statement["Action"]), statement
        assert statement["Resource"] != "*"


def test_the_examples_of_all_modules_can_be_planned(aws: EmulatedAws, tmp_path: Path) -> None:
    made = workspace(tmp_path, Path("modules/naming"), **aws.environment)
    root = tmp_path / "terraform" / "examples" / "all"
    root.mkdir(parents=True)
    for module in MODULES:
        (root / f"{module.name}.tf").write_text(example(TERRAFORM / module), encoding="utf-8")
    shutil.copy(made.root / "terraform.tf", root)
    (root / "emulated.tf").write_text(OVERRIDE.replace("{\n", f'{{\nregion = "{REGION}"\n', 1))
    together = Workspace(tmp_path, root, aws.environment)
    together.ok("init", "-input=false")
    assert {a.split(".")[1] for a in resources(together.plan({}))} >= {
        module.name.replace("-", "_") for module in MODULES if module.name != "naming"
    }


def test_the_state_stack_makes_one_guarded_bucket(stack: Callable[[str], Workspace]) -> None:
    state = stack("state")
    values = example(TERRAFORM / "stacks/state")
    (state.root / "terraform.tfvars").write_text(values, encoding="utf-8")
    plan = state.plan({})
    assert only(plan, "aws_s3_bucket")["bucket"] == f"provision-pricing-state-123456789012-{REGION}"
    versioning = only(plan, "aws_s3_bucket_versioning")["versioning_configuration"]
    assert versioning[0]["status"] == "Enabled"
    assert len(resources(plan)) == 8


def test_an_account_that_forbids_roles_and_networks_is_asked_for_neither(
    tracking: Workspace,
) -> None:
    private = ["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"]
    network = {
        "vpc_id": "vpc-0a1b2c3d4e5f60718",
        "public_subnet_id": "subnet-0a1b2c3d4e5f60718",
        "private_subnet_ids": private,
    }
    given = {"existing_instance_profile": "LabInstanceProfile"}
    plan = tracking.plan({**COURSE, "network": {"existing": network}, "access": given}, "lab")
    assert only(plan, "aws_instance")["iam_instance_profile"] == "LabInstanceProfile"
    assert only(plan, "aws_instance")["subnet_id"] == network["public_subnet_id"]
    assert sorted(only(plan, "aws_db_subnet_group")["subnet_ids"]) == private
    assert not [a for a in resources(plan) if ".aws_iam_" in a or a.startswith("module.network")]


def test_another_account_is_refused_before_anything_is_made(tracking: Workspace) -> None:
    values = {**COURSE, "account_id": "999999999999"}
    file = tracking.folder / "other.tfvars.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    done = tracking.run("plan", "-input=false", "-no-color", f"-var-file={file}")
    assert done.code == 1
    assert "not allowed" in done.err
