"""Everything in the account that carries a stack's tag, asked of each service itself.

The Resource Groups Tagging API alone does not do: on the emulated account it named 15 of 26 tagged
resources, and left out roles, profiles, rules, endpoints, subnet and parameter groups. It may also
still name what was deleted a while ago. So it only serves to find kinds that the kit never makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from provision.adapters.cloud import listing_ec2, listing_indexed, listing_named
from provision.adapters.cloud.failures import explained, is_denied
from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import Found, Listing, Names

Lister = Callable[[Cloud, Names], Iterable[Found]]

# Each with the right that it takes, which is what the user asks an administrator for.
_LISTERS: Final[tuple[tuple[str, Lister], ...]] = (
    ("ec2:DescribeVpcs", listing_ec2.networks),
    ("ec2:DescribeSubnets", listing_ec2.subnets),
    ("ec2:DescribeInternetGateways", listing_ec2.gateways),
    ("ec2:DescribeRouteTables", listing_ec2.routes),
    ("ec2:DescribeVpcEndpoints", listing_ec2.endpoints),
    ("ec2:DescribeSecurityGroups", listing_ec2.groups),
    ("ec2:DescribeAddresses", listing_ec2.addresses),
    ("ec2:DescribeInstances", listing_ec2.machines),
    ("ec2:DescribeVolumes", listing_ec2.volumes),
    ("ec2:DescribeSnapshots", listing_ec2.snapshots),
    ("ec2:DescribeFlowLogs", listing_ec2.flow_logs),
    ("ec2:DescribeNetworkInterfaces", listing_ec2.interfaces),
    ("s3:ListAllMyBuckets", listing_named.bucket),
    ("rds:DescribeDBInstances", listing_named.databases),
    ("rds:DescribeDBSnapshots", listing_named.database_snapshots),
    ("rds:DescribeDBInstanceAutomatedBackups", listing_named.automated_backups),
    ("rds:DescribeDBSubnetGroups", listing_named.subnet_groups),
    ("rds:DescribeDBParameterGroups", listing_named.parameter_groups),
    ("iam:ListRoles", listing_named.roles),
    ("iam:ListInstanceProfiles", listing_named.profiles),
    ("logs:DescribeLogGroups", listing_named.log_groups),
    ("sns:ListTopics", listing_named.topics),
    ("cloudwatch:DescribeAlarms", listing_named.alarms),
    ("secretsmanager:ListSecrets", listing_named.secrets),
    ("budgets:ViewBudget", listing_named.budgets),
    ("scheduler:ListScheduleGroups", listing_named.schedules),
    ("events:ListRules", listing_named.event_rules),
)
# Who may not ask this cannot have made one from here, and it costs nothing: labs forbid the whole
# service, and must still be able to prove that nothing is left.
_SPARED: Final = {"budgets:ViewBudget", "events:ListRules", "scheduler:ListScheduleGroups"}
# Kinds that the listers above see (or, for RDS' secrets and parts of machines, kinds that go with
# one of them): service and the first word of the resource in an ARN.
_SEEN: Final = {
    "ec2": {
        "vpc", "subnet", "internet-gateway", "route-table", "vpc-endpoint", "security-group",
        "security-group-rule", "elastic-ip", "instance", "volume", "snapshot", "vpc-flow-log",
        "network-interface",
    },
    "rds": {"db", "snapshot", "subgrp", "pg", "auto-backup"},
    "iam": {"role", "instance-profile"},
    "logs": {"log-group"},
    "cloudwatch": {"alarm"},
    "budgets": {"budget"},
    "scheduler": {"schedule-group", "schedule"},
    "events": {"rule"},
    "secretsmanager": {"secret"},
    "s3": {""},
    "sns": {""},
}  # fmt: skip
_AT_ONCE: Final = 8


def leftovers(cloud: Cloud, names: Names) -> Listing:
    """All that carries the tag of the stack or, where AWS has no tag yet, one of its names.

    What these credentials may not ask for is named in `blind` and does not stop the rest. Raises
    `ProvisionError` for every other failure.
    """
    with (
        explained(cloud, f"list what belongs to {names.stack}"),
        ThreadPoolExecutor(_AT_ONCE) as at,
    ):
        answers = list(at.map(lambda lister: _ask(cloud, names, *lister), _LISTERS))
        more, strangers, more_blind = _indexed(cloud, names)
    found = [*(item for items, _ in answers for item in items), *more]
    blind = [right for _, denied in answers for right in denied]
    return Listing(tuple(found), (*blind, *more_blind), strangers)


def _ask(
    cloud: Cloud, names: Names, right: str, lister: Lister
) -> tuple[list[Found], tuple[str, ...]]:
    try:
        return list(lister(cloud, names)), ()
    except Exception as error:
        if is_denied(error):
            return [], () if right in _SPARED else (right,)
        raise


def _indexed(cloud: Cloud, names: Names) -> tuple[list[Found], tuple[str, ...], tuple[str, ...]]:
    """Things of further kinds, ARNs of kinds that nobody knows, and what may not be asked."""
    found: list[Found] = []
    strange: list[str] = []
    try:
        for entry in listing_indexed.indexed(cloud, names):
            arn = str(entry["ResourceARN"])
            thing = False if _is_seen(arn) else listing_indexed.known(cloud, entry)
            if isinstance(thing, Found):
                found.append(thing)
            elif not thing and not _is_seen(arn):
                strange.append(arn)
    except Exception as error:
        if is_denied(error):
            return found, (), ("tag:GetResources",)
        raise
    return found, tuple(sorted(strange)), ()


def _is_seen(arn: str) -> bool:
    service, word, _ = listing_indexed.parts(arn)
    return word in _SEEN.get(service, set())
