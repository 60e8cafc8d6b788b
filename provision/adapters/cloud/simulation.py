"""Asks IAM whether these credentials are allowed what a stack needs, before it is used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from provision.adapters.cloud.failures import code_of
from provision.adapters.cloud.session import Cloud
from provision.model.account import Identity
from provision.model.rights import Ask, Decision

_MOST: Final = 60
"""Actions in one call: IAM names no limit, and its answer has pages of 100 results."""
_ASSUMED: Final = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.*")


def simulate(cloud: Cloud, me: Identity, asks: Sequence[Ask]) -> list[Decision] | None:
    """IAM's decision on each action; `None` where nobody can ask (the root user may do all).

    Raises botocore's `ClientError` where these credentials may not ask either.
    """
    source = _principal(cloud, me.arn)
    if source is None:
        return None
    return [decision for ask in asks for decision in _decided(cloud, me, source, ask)]


def _principal(cloud: Cloud, arn: str) -> str | None:
    """The user or role whose policies count. A session's ARN leaves out its role's path."""
    if arn.endswith(":root"):
        return None
    match = _ASSUMED.fullmatch(arn)
    if match is None:
        return arn if ":user/" in arn else None
    try:
        role = cloud.client("iam").get_role(RoleName=match[3])
    except Exception as error:
        if code_of(error) != "NoSuchEntity":
            raise
        return None
    return str(role["Role"]["Arn"])


def _decided(cloud: Cloud, me: Identity, source: str, ask: Ask) -> Iterator[Decision]:
    for start in range(0, len(ask.actions), _MOST):
        actions = ask.actions[start : start + _MOST]
        pages = (
            cloud.client("iam")
            .get_paginator("simulate_principal_policy")
            .paginate(
                PolicySourceArn=source,
                ActionNames=list(actions),
                ResourceArns=list(ask.resources),
                ContextEntries=[_region(me.region)],
            )
        )
        for page in pages:
            yield from (_decision(result) for result in page["EvaluationResults"])


def _region(region: str) -> dict[str, Any]:
    return {
        "ContextKeyName": "aws:RequestedRegion",
        "ContextKeyValues": [region],
        "ContextKeyType": "string",
    }


def _decision(result: dict[str, Any]) -> Decision:
    by_organization = result.get("OrganizationsDecisionDetail", {})
    by_boundary = result.get("PermissionsBoundaryDecisionDetail", {})
    return Decision(
        action=result["EvalActionName"],
        allowed=result["EvalDecision"] == "allowed",
        organization=by_organization.get("AllowedByOrganizations", True),
        boundary=by_boundary.get("AllowedByPermissionsBoundary", True),
        depends=tuple(result.get("MissingContextValues") or ()),
    )
