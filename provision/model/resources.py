"""The resources of `terraform/` in words: what each type is to somebody who trains models.

`tests/unit/test_resources.py` holds this table against the modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from provision.model.complaints import printable

DATABASE: Final = "aws_db_instance"
BUCKET: Final = "aws_s3_bucket"
MACHINE: Final = "aws_instance"
ADDRESS: Final = "aws_eip"
WAY_IN: Final = "aws_vpc_security_group_ingress_rule"

AREAS: Final = ("network", "server", "database", "artifacts", "alarms", "other")
_MODULES: Final = {
    "network": "network",
    "tracking_server": "server",
    "backend_store": "database",
    "artifact_store": "artifacts",
    "bucket": "artifacts",  # of stacks/state
    "lifetime": "alarms",
}
# Type -> what one of them is called; the plural adds an s, or is given.
_NOUNS: Final[dict[str, tuple[str, str]]] = {
    "aws_budgets_budget": ("budget", ""),
    "aws_cloudwatch_log_group": ("log group", ""),
    "aws_cloudwatch_metric_alarm": ("alarm", ""),
    DATABASE: ("database", ""),
    "aws_db_parameter_group": ("parameter group", ""),
    "aws_db_subnet_group": ("subnet group", ""),
    "aws_default_security_group": ("closed default security group", ""),
    ADDRESS: ("address", "addresses"),
    "aws_eip_association": ("address association", ""),
    "aws_flow_log": ("flow log", ""),
    "aws_iam_instance_profile": ("instance profile", ""),
    "aws_iam_role": ("role", ""),
    "aws_iam_role_policy": ("policy of the role", "policies of the role"),
    "aws_iam_role_policy_attachment": ("AWS policy on the role", "AWS policies on the role"),
    MACHINE: ("machine", ""),
    "aws_internet_gateway": ("internet gateway", ""),
    "aws_route": ("route", ""),
    "aws_route_table": ("route table", ""),
    "aws_route_table_association": ("route table association", ""),
    BUCKET: ("bucket", ""),
    "aws_s3_bucket_lifecycle_configuration": ("lifecycle of old versions", "lifecycles"),
    "aws_s3_bucket_notification": ("events for rules", "events for rules"),
    "aws_s3_bucket_ownership_controls": ("ownership controls", "ownership controls"),
    "aws_s3_bucket_policy": ("TLS-only policy", "TLS-only policies"),
    "aws_s3_bucket_public_access_block": ("public access block", ""),
    "aws_s3_bucket_server_side_encryption_configuration": ("encryption", "encryptions"),
    "aws_s3_bucket_versioning": ("versioning", "versionings"),
    "aws_scheduler_schedule": ("schedule", ""),
    "aws_scheduler_schedule_group": ("group of schedules", "groups of schedules"),
    "aws_secretsmanager_secret": ("secret", ""),
    "aws_security_group": ("security group", ""),
    "aws_sns_topic": ("topic for alarms", "topics for alarms"),
    "aws_sns_topic_policy": ("policy of the topic", "policies of the topic"),
    "aws_sns_topic_subscription": ("subscription", ""),
    "aws_subnet": ("subnet", ""),
    "aws_vpc": ("VPC", ""),
    "aws_vpc_endpoint": ("endpoint for S3", "endpoints for S3"),
    "aws_vpc_security_group_egress_rule": ("way out", "ways out"),
    WAY_IN: ("way in", "ways in"),
}
KNOWN_TYPES: Final = frozenset(_NOUNS)
# What else may carry a stack's tag, though no module makes it.
_OTHERS: Final[dict[str, tuple[str, str]]] = {
    "aws_cloudwatch_event_rule": ("rule of EventBridge", "rules of EventBridge"),
    "aws_db_instance_automated_backup": ("kept set of backups", "kept sets of backups"),
    "aws_db_snapshot": ("database snapshot", ""),
    "aws_ebs_snapshot": ("disk snapshot", ""),
    "aws_ebs_volume": ("disk", ""),
    "aws_kms_key": ("encryption key", ""),
    "aws_lambda_function": ("function", ""),
    "aws_network_interface": ("network interface", ""),
    "aws_ssm_document": ("document", ""),
    "aws_ssm_parameter": ("parameter", ""),
}
# Of these there is one in a stack, and people know it by its name.
_NAMED: Final = {
    DATABASE: "the database",
    BUCKET: "the artifact bucket",
    MACHINE: "the server's machine",
    ADDRESS: "the server's address",
}
_LONGEST: Final = 120
# module.NAME.TYPE.NAME[KEY], where a key is a number or text in quotes.
_ADDRESS: Final = re.compile(
    r"(?:module\.(?P<module>\w+)(?:\[[^\]]*\])?\.)?(?:data\.)?(?P<type>\w+)\.(?P<name>\w+)"
    r'(?:\[(?:"(?P<key>.*)"|\d+)\])?'
)


@dataclass(frozen=True)
class Place:
    """An address of Terraform's, taken apart. `key` is "" but for a text in brackets."""

    area: str
    type: str
    name: str
    key: str


def place(address: str) -> Place:
    """The parts of a resource's address; an address of another form is all type."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return Place("other", address, "", "")
    area = _MODULES.get(found["module"] or "", "other")
    return Place(area, found["type"], found["name"], found["key"] or "")


def noun(type_: str, count: int = 1) -> str:
    """What resources of a type are called; a type that is not ours keeps its name."""
    one, many = _NOUNS.get(type_) or _OTHERS.get(type_, (type_, type_))
    return one if count == 1 else many or f"{one}s"


def title(address: str) -> str:
    """One resource in words: `the database`, `alarm server-unhealthy`, `public subnet a`.

    Printable, whatever the address.
    """
    return printable(_title(place(address)), _LONGEST)


def _title(where: Place) -> str:
    if where.area != "other" and where.type in _NAMED:
        return _NAMED[where.type]
    word = noun(where.type)
    if where.type == WAY_IN and where.key:
        return f"{word} for {where.key}"
    if where.name in ("public", "private"):
        word = f"{where.name} {word}"
    return f"{word} {where.key}".rstrip()
