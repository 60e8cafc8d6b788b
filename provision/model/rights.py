"""What credentials must be allowed for a stack, and what IAM's decisions about it mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from provision.model.account import Identity
from provision.model.questions import Verdict
from provision.model.rights_table import ACTIONS, ALWAYS
from provision.model.wanted import Wanted

_SHOWN: Final = 6
# Kinds of resources in RDS' ARNs (Service Authorization Reference, Amazon RDS).
_RDS: Final = {"DBSubnetGroup": "subgrp", "DBParameterGroup": "pg"}
_ANY: Final = "*"
_ON_OBJECTS: Final = ("GetObject", "PutObject", "DeleteObject", "DeleteObjectVersion")
_ROLES: Final = ("aws_iam_role", "aws_iam_role_policy", "aws_iam_role_policy_attachment",
                 "aws_iam_instance_profile")  # fmt: skip
_WATCHED: Final = ("aws_flow_log", "aws_cloudwatch_log_group", "aws_iam_role",
                   "aws_iam_role_policy", "aws_iam_role_policy_attachment")  # fmt: skip
_NEW_NETWORK: Final = (
    "aws_vpc", "aws_default_security_group", "aws_subnet", "aws_internet_gateway", "aws_route",
    "aws_route_table", "aws_route_table_association", "aws_vpc_endpoint",
)  # fmt: skip
_BUDGET: Final = ("aws_budgets_budget", "aws_sns_topic_policy")
_SCHEDULED: Final = ("aws_scheduler_schedule", "aws_scheduler_schedule_group", "aws_iam_role",
                     "aws_iam_role_policy")  # fmt: skip
_SOMETIMES: Final = {*_ROLES, *_WATCHED, *_NEW_NETWORK, *_BUDGET, *_SCHEDULED}


@dataclass(frozen=True)
class Ask:
    """Actions that are asked for on the same resources (ARNs, or `*`)."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """IAM's decision on one action; `organization` and `boundary` say whether these allow it.

    `depends` names the facts of the real request that its policies ask for, and a simulation does
    not have (tags, addresses, a second factor).
    """

    action: str
    allowed: bool
    organization: bool = True
    boundary: bool = True
    depends: tuple[str, ...] = ()


def types(wanted: Wanted) -> set[str]:
    """The types of resources that such a stack is made of, as the modules choose them."""
    found = set(ACTIONS) - _SOMETIMES
    if wanted.instance_profile is None:
        found |= set(_ROLES)
    if wanted.watched:
        found |= set(_WATCHED)
    if wanted.cidr:
        found |= set(_NEW_NETWORK)
    if wanted.scheduled:
        found |= set(_SCHEDULED)
    return found | (set(_BUDGET) if wanted.budget else set())


def asks(wanted: Wanted, me: Identity) -> tuple[Ask, ...]:
    """All actions that `up` and `down` take, with what they are taken on.

    Policies often name resources by their names; so what has a known name is asked for by it.
    """
    needed = {action for kind in types(wanted) for action in ACTIONS[kind]} | set(ALWAYS)
    grouped: dict[tuple[str, ...], list[str]] = {}
    for action in sorted(needed):
        grouped.setdefault(_resources(action, wanted, me), []).append(action)
    return tuple(Ask(tuple(actions), resources) for resources, actions in grouped.items())


def _resources(action: str, wanted: Wanted, me: Identity) -> tuple[str, ...]:
    service, _, name = action.partition(":")
    if name.startswith(("List", "Describe")) and action != "s3:ListBucket":
        return (_ANY,)
    start = f"arn:{me.partition}:{service}"
    here = f"{start}:{me.region}:{me.account}"
    prefix, bucket = wanted.names.prefix, wanted.names.bucket
    if service == "s3":
        within = "/x" if name in _ON_OBJECTS else ""
        return (f"arn:{me.partition}:s3:::{bucket}{within}",)
    known = {
        "rds": f"{here}:{_RDS.get(_thing(name), 'db')}:{prefix}",
        "logs": f"{here}:log-group:/{prefix}/flow",
        "cloudwatch": f"{here}:alarm:{prefix}-server-unhealthy",
        "scheduler": f"{here}:schedule-group/{prefix}",
        "budgets": f"{start}::{me.account}:budget/{prefix}-month",
        "iam": f"{start}::{me.account}:{'instance-profile' if 'Profile' in name else 'role'}"
        f"/{prefix}-server",
        "sns": f"{here}:{prefix}-alarms",
        "secretsmanager": f"{here}:secret:{prefix}/admin-abcdef",
    }
    return (known.get(service, _ANY),)


def _thing(name: str) -> str:
    """`DBSubnetGroup` of `CreateDBSubnetGroup`."""
    return re.sub(r"^(Create|Delete|Modify|AddTagsTo)", "", name)


def judged(decisions: Sequence[Decision] | None) -> Verdict:
    """What IAM's decisions mean: the first cause that nobody in the account can mend counts."""
    if decisions is None:
        return Verdict("not asked: nobody can ask for such credentials", "rights.not-simulated")
    open_ = [d for d in decisions if not d.allowed and d.depends]
    denied = [d for d in decisions if not d.allowed and not d.depends]
    total = len({d.action for d in decisions})
    if not denied and open_:
        facts = {"keys": ", ".join(sorted({key for d in open_ for key in d.depends}))}
        return Verdict(f"{len(open_)} of {total} actions depend", "rights.depends", facts)
    if not denied:
        return Verdict(f"all {total} actions")
    for problem, ours in (
        ("rights.organization", [d.action for d in denied if not d.organization]),
        ("rights.boundary", [d.action for d in denied if not d.boundary]),
    ):
        if ours:
            return _refused(problem, ours, total)
    return _refused("rights.missing", [d.action for d in denied], total)


def _refused(problem: str, actions: Iterable[str], total: int) -> Verdict:
    names = sorted(set(actions))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(names[:_SHOWN]) + more
    facts = {"actions": shown, "count": str(len(names)), "total": str(total)}
    return Verdict(f"not allowed: {', '.join(names)}", problem, facts)
