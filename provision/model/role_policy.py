"""The rights of the server's role, as terraform/modules/tracking-server/iam.tf grants them.

Written down a second time on purpose: the audit compares what the account says with what was
meant, not with what a changed configuration would make. `tests/unit/test_audit.py` holds it against
the module's text, and `tests/terraform/test_up_road.py` against a role that was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from provision.model.wanted import Wanted

OWN: Final = "use-bucket-and-database"
ENDING: Final = "tell-that-it-is-archived"
"""Beside it where the account takes the stack down (terraform/modules/lifetime/schedules.tf)."""
MANAGED: Final = "arn:{partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
"""AWS' own policy for machines that Session Manager reaches, attached beside."""


class Right(NamedTuple):
    """One action on one resource, allowed or denied, perhaps under a condition (JSON)."""

    effect: str
    action: str
    resource: str
    condition: str = ""

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def rights_of(policy: Mapping[str, Any]) -> frozenset[Right]:
    """The rights in a policy document. What is said by exclusion (`NotAction`) counts as `*`."""
    statements = policy["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    return frozenset(
        Right(s["Effect"], action, resource, _plain(s.get("Condition")))
        for s in statements
        for action in _list(s.get("Action", "*"))
        for resource in _list(s.get("Resource", "*"))
    )


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _plain(condition: Any) -> str:
    return json.dumps(condition, sort_keys=True) if condition else ""


def expected(wanted: Wanted, account: str, partition: str, key: str | None) -> frozenset[Right]:
    """What the role of a stack has to have, and no more. `key` encrypts, where it is the team's."""
    bucket = f"arn:{partition}:s3:::{wanted.names.bucket}"
    here = f"{wanted.region}:{account}"
    database = f"arn:{partition}:rds:{here}:db:{wanted.names.prefix}"
    secret = f"arn:{partition}:secretsmanager:{here}:secret"
    program = f"{bucket}/provision/host/*"
    of_database = {"StringEquals": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": database}}
    rows: list[tuple[str, tuple[str, ...], str]] = [
        ("Allow", ("s3:GetBucketLocation", "s3:ListBucket"), bucket),
        ("Allow", _ON_ARTIFACTS, f"{bucket}/artifacts/*"),
        ("Allow", ("s3:GetObject",), program),
        ("Allow", ("s3:GetObject", "s3:PutObject"), f"{bucket}/provision/boot/*"),
        ("Allow", ("s3:GetObject", "s3:PutObject"), f"{bucket}/provision/public/*"),
        ("Allow", _ON_TRANSFER, f"{bucket}/provision/transfer/*"),
        ("Allow", ("sns:Publish",), f"arn:{partition}:sns:{here}:{wanted.names.prefix}-alarms"),
        ("Deny", ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"), program),
        ("Allow", _ON_LOGIN, f"{secret}:{wanted.names.prefix}/admin-??????"),
        ("Allow", ("rds:DescribeDBInstances",), database),
        *([("Allow", ("kms:Decrypt", "kms:GenerateDataKey"), key)] if key else []),
    ]
    found = {Right(effect, one, on) for effect, actions, on in rows for one in actions}
    read = "secretsmanager:GetSecretValue"
    return frozenset({*found, Right("Allow", read, f"{secret}:rds!db-*", _plain(of_database))})


def expected_at_end(
    wanted: Wanted, account: str, partition: str, instance: str, last_day: str
) -> frozenset[Right]:
    """What lets the machine say that it is archived: one tag with one value on two things."""
    here = f"{wanted.region}:{account}"
    only = _plain(
        {
            "StringEquals": {"aws:RequestTag/provision:archived": last_day},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["provision:archived"]},
        }
    )
    database = f"arn:{partition}:rds:{here}:db:{wanted.names.prefix}"
    return frozenset(
        {
            Right("Allow", "rds:AddTagsToResource", database, only),
            Right(
                "Allow", "ec2:CreateTags", f"arn:{partition}:ec2:{here}:instance/{instance}", only
            ),
        }
    )


_ON_ARTIFACTS: Final = (
    "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts",
    "s3:PutObject",
)  # fmt: skip
_ON_TRANSFER: Final = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
_ON_LOGIN: Final = ("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue")


def too_much(actual: frozenset[Right], meant: frozenset[Right]) -> list[str]:
    """What is allowed beyond what is meant, and what is no longer denied."""
    more = [str(right) for right in actual - meant if right.effect == "Allow"]
    open_now = [f"{right} (no longer denied)" for right in meant - actual if right.effect == "Deny"]
    return sorted([*more, *open_now])
