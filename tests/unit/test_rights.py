"""The table of rights, held against the modules and against the calls of a whole life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.model.account import Identity
from provision.model.resources import KNOWN_TYPES
from provision.model.rights import Decision, asks, judged, types
from provision.model.rights_table import ACTIONS, ALWAYS
from provision.model.spec import Spec
from provision.model.wanted import Wanted

# Recorded at an emulated account: `up`, `up` again and `down` of a stack of the profile `team` with
# a budget and an alarm's address.
CALLS = json.loads((Path(__file__).parent / "plans" / "calls.json").read_text(encoding="utf-8"))
ME = Identity("123456789012", "arn:aws:iam::123456789012:user/ana", "eu-west-1", "aws")
SERVICES = {"monitoring": "cloudwatch", "tagging": "tag"}
# S3's operations by the name of their right (Service Authorization Reference, Amazon S3).
SUBRESOURCES = {
    "accelerate": "AccelerateConfiguration", "acl": "BucketAcl", "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration", "lifecycle": "LifecycleConfiguration",
    "logging": "BucketLogging", "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration", "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy", "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration", "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging", "versioning": "BucketVersioning", "website": "BucketWebsite",
}  # fmt: skip
RENAMED = {
    "s3:HeadBucket": "s3:ListBucket", "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:GET ?uploads": "s3:ListBucketMultipartUploads", "s3:GET ?versions": "s3:ListBucketVersions",
    "s3:DELETE ?policy": "s3:DeleteBucketPolicy",
}  # fmt: skip


def right_of(call: str) -> str:
    if call in RENAMED:
        return RENAMED[call]
    service, _, action = call.partition(":")
    if service == "budgets" and action != "ListTagsForResource":
        return "budgets:ViewBudget" if action.startswith("Describe") else "budgets:ModifyBudget"
    method, _, part = action.partition(" ?")
    if part:  # what takes a setting back asks for the right to set it
        return f"s3:{'Get' if method == 'GET' else 'Put'}{SUBRESOURCES[part]}"
    return f"{SERVICES.get(service, service)}:{action}"


def wanted(**aws: object) -> Wanted:
    spec = Spec.model_validate({"name": "churn", "target": "aws", "aws": aws})
    return Wanted.of(spec, ME.account, ME.region)


def test_every_type_of_the_modules_has_its_rights_and_no_other_has() -> None:
    assert set(ACTIONS) == KNOWN_TYPES


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_a_whole_life_is_in_the_table(call: str) -> None:
    table = {action for actions in ACTIONS.values() for action in actions} | set(ALWAYS)
    assert right_of(call) in table


def test_no_right_is_a_wildcard_or_reads_what_the_role_alone_may() -> None:
    table = {action for actions in ACTIONS.values() for action in actions} | set(ALWAYS)
    assert not [action for action in table if "*" in action or action.count(":") != 1]


def test_a_course_without_roles_or_network_asks_for_less() -> None:
    everything = types(wanted(profile="team"))
    assert "aws_flow_log" in everything and "aws_iam_role" in everything
    network = {
        "vpc": "vpc-0a1b2c3d4e5f60718",
        "public_subnet": "subnet-0a1b2c3d4e5f60718",
        "private_subnets": ["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"],
    }
    lab = types(wanted(instance_profile="LabInstanceProfile", network=network))
    gone = {"aws_flow_log", "aws_iam_role", "aws_vpc", "aws_budgets_budget"}
    gone |= {"aws_scheduler_schedule", "aws_sns_topic_policy"}
    assert not lab & gone and "aws_db_instance" in lab


def test_an_end_and_a_budget_ask_for_more() -> None:
    lifetime = {"until": "2099-01-31", "budget": 50, "alarm_email": "a@example.org"}
    spec = Spec.model_validate({"name": "churn", "target": "aws", "lifetime": lifetime})
    found = types(Wanted.of(spec, ME.account, ME.region))
    assert {"aws_scheduler_schedule", "aws_budgets_budget", "aws_sns_topic_policy"} <= found


def test_what_has_a_known_name_is_asked_for_by_it() -> None:
    found = {action: ask.resources[0] for ask in asks(wanted(), ME) for action in ask.actions}
    bucket = "arn:aws:s3:::provision-churn-123456789012-eu-west-1"
    assert found["s3:CreateBucket"] == bucket
    assert found["s3:DeleteObjectVersion"] == f"{bucket}/x"
    assert found["iam:PassRole"] == "arn:aws:iam::123456789012:role/provision-churn-server"
    assert found["ec2:RunInstances"] == "*"
    rds = "arn:aws:rds:eu-west-1:123456789012"
    assert found["rds:CreateDBInstance"] == f"{rds}:db:provision-churn"
    assert found["rds:DeleteDBSubnetGroup"] == f"{rds}:subgrp:provision-churn"
    assert found["rds:ModifyDBParameterGroup"] == f"{rds}:pg:provision-churn"
    assert found["rds:DescribeDBInstances"] == "*"


@pytest.mark.parametrize(
    ("decisions", "problem"),
    [
        ([Decision("a:B", True)], ""),
        ([Decision("a:B", True), Decision("a:C", False)], "rights.missing"),
        ([Decision("a:B", False, organization=False)], "rights.organization"),
        ([Decision("a:B", False, boundary=False)], "rights.boundary"),
        (
            [Decision("a:B", False), Decision("a:C", False, organization=False)],
            "rights.organization",
        ),
        ([Decision("a:B", False, depends=("aws:SourceIp",))], "rights.depends"),
        (
            [Decision("a:B", False, depends=("aws:SourceIp",)), Decision("a:C", False)],
            "rights.missing",
        ),
        (None, "rights.not-simulated"),
    ],
)
def test_decisions_have_a_cause(decisions: list[Decision] | None, problem: str) -> None:
    assert judged(decisions).problem == problem
