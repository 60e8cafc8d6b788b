"""What a run left in the account that no state knows of: what of it is adopted, what removed.

Terraform saves what it made after each answer. A killed run leaves what AWS made meanwhile, and a
plain second run makes it again, or fails because the name is taken. So what exists and what the
next plan would create are brought together first: one becomes the other by an `import` block, which
shows in the plan that the user confirms. What no plan wants is removed, parents last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

STACK_TAG: Final = "provision:stack"
RUN_TAG: Final = "provision:run"
PROTECTED: Final = "AWS guards it against deletion"
"""The note of a database whose deletion AWS refuses."""
BUCKET_MAX: Final = 63  # S3, "Bucket naming rules"

# Parents first: the order in which things are adopted, and the reverse of that of their removal.
ORDER: Final = (
    "aws_vpc",
    "aws_default_security_group",
    "aws_subnet",
    "aws_internet_gateway",
    "aws_route_table",
    "aws_route",
    "aws_route_table_association",
    "aws_vpc_endpoint",
    "aws_security_group",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_s3_bucket",
    "aws_iam_role",
    "aws_iam_instance_profile",
    "aws_cloudwatch_log_group",
    "aws_db_parameter_group",
    "aws_db_subnet_group",
    "aws_ebs_volume",
    "aws_secretsmanager_secret",
    "aws_sns_topic",
    "aws_budgets_budget",
    "aws_eip",
    "aws_db_instance",
    "aws_instance",
    "aws_eip_association",
    "aws_flow_log",
    "aws_cloudwatch_metric_alarm",
    "aws_scheduler_schedule_group",
    "aws_scheduler_schedule",
    # Not made by the modules; what carries the stack's tag goes all the same.
    "aws_network_interface",
    "aws_cloudwatch_event_rule",
    "aws_lambda_function",
    "aws_ssm_document",
    "aws_ssm_parameter",
)
# These go with what they belong to, and are never removed by themselves.
PARTS: Final = frozenset(
    {
        "aws_default_security_group",
        "aws_route",
        "aws_route_table_association",
        "aws_eip_association",
        "aws_scheduler_schedule",
    }
)
# Removing one of these loses somebody's work.
WITH_DATA: Final = frozenset({"aws_db_instance", "aws_s3_bucket", "aws_ebs_volume"})
# Copies of data that outlive the stack, until somebody says otherwise.
BACKUPS: Final = frozenset(
    {"aws_db_snapshot", "aws_ebs_snapshot", "aws_db_instance_automated_backup"}
)
# Made to outlive the stack; what is encrypted with a key would be lost with it.
KEPT: Final = BACKUPS | {"aws_kms_key"}
_RULES: Final = frozenset(
    {"aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"}
)
# The attribute in a plan that tells one resource of a type from the next; else its tag Name.
_NAMED_BY: Final = {
    "aws_s3_bucket": "bucket",
    "aws_db_instance": "identifier",
    "aws_cloudwatch_metric_alarm": "alarm_name",
    "aws_vpc_security_group_ingress_rule": "description",
    "aws_vpc_security_group_egress_rule": "description",
    "aws_cloudwatch_log_group": "name",
    "aws_iam_role": "name",
    "aws_iam_instance_profile": "name",
    "aws_db_parameter_group": "name",
    "aws_db_subnet_group": "name",
    "aws_secretsmanager_secret": "name",
    "aws_sns_topic": "name",
    "aws_budgets_budget": "name",
    "aws_scheduler_schedule_group": "name",
    "aws_scheduler_schedule": "name",
}
# Resources without a name and a tag, by their address in stacks/tracking.
_PLACES: Final = {
    "module.network.aws_route.internet[0]": "-public",
    'module.network.aws_route_table_association.public["a"]': "-public-a",
    'module.network.aws_route_table_association.public["b"]': "-public-b",
    'module.network.aws_route_table_association.private["a"]': "-private-a",
    'module.network.aws_route_table_association.private["b"]': "-private-b",
    "module.tracking_server.aws_eip_association.this": "",
}


@dataclass(frozen=True)
class Names:
    """The names that follow from a stack's own, as `terraform/modules/naming` makes them."""

    stack: str
    prefix: str
    bucket: str

    @classmethod
    def of(cls, stack: str, account: str, region: str) -> Names:
        """Those of one stack in one account and region."""
        prefix = f"provision-{stack}"
        return cls(stack, prefix, bucket_name(prefix, account, region))

    def topic(self, account: str, region: str, caller: str) -> str:
        """The ARN of the alarms' topic, in the partition of the caller's ARN."""
        return f"arn:{caller.split(':')[1]}:sns:{region}:{account}:{self.prefix}-alarms"


def bucket_name(prefix: str, account: str, region: str) -> str:
    """A bucket's name, unique per account and region; a long one is cut and ends in a digest."""
    full = f"{prefix}-{account}-{region}"
    if len(full) <= BUCKET_MAX:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    cut = full[:54]
    return f"{cut.removesuffix('-')}-{digest}"


@dataclass(frozen=True)
class Found:
    """One thing in the account.

    `type` is Terraform's word for it, `id` what `import` takes and what tells it from others of its
    type. `name` is its tag `Name`, its own name, or for a part the name of what it belongs to; it
    is empty for a rule that EC2 made by itself. `run` is the run's id in its tag; `None` where it
    carries none. `parents` are ids of what it lies in. `created` is `None` where AWS does not keep
    it. `size_gib` is what is billed of it at most, and `note` what else is to be known.
    """

    type: str
    id: str
    arn: str
    name: str
    run: str | None
    created: datetime | None = None
    parents: tuple[str, ...] = ()
    size_gib: float = 0.0
    note: str = ""

    @property
    def holds_data(self) -> bool:
        """Whether its removal could lose somebody's work."""
        return self.type in WITH_DATA | BACKUPS

    def __str__(self) -> str:
        return f"{self.type} {self.name or self.id}" + (f" ({self.id})" if self.name else "")


@dataclass(frozen=True)
class Listing:
    """All that carries a stack's tag or name.

    `blind` are the questions that these credentials may not ask, as IAM's actions: with one of
    them, "nothing left" is not proven. `strangers` are ARNs with the stack's tag of kinds that the
    kit never makes.
    """

    found: tuple[Found, ...]
    blind: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Import:
    """One thing that the next apply takes into the state instead of making it anew."""

    address: str
    found: Found


@dataclass(frozen=True)
class Sorted:
    """What becomes of what was found.

    `removals` are in the order in which they can go. `kept` outlives a stack on purpose (final
    snapshots). `foreign` belongs to another run of a stack of the same name: neither adopted nor
    removed here.
    """

    imports: tuple[Import, ...] = ()
    removals: tuple[Found, ...] = ()
    kept: tuple[Found, ...] = ()
    foreign: tuple[Found, ...] = ()

    def to_hcl(self) -> str:
        """The text of `adopt.tf`: one `import` block each; empty without any."""
        return "\n".join(
            f"import {{\n  to = {item.address}\n  id = {_quoted(item.found.id)}\n}}\n"
            for item in self.imports
        )


def sort_out(
    found: Iterable[Found],
    *,
    run: str | None,
    names: Names,
    state: Mapping[str, Any] | None,
    plan: Mapping[str, Any] | None,
) -> Sorted:
    """Decide about everything that is there.

    `state` is `terraform show -json` of the state, `plan` that of a plan made without adoption:
    what it would create is adopted where it exists already. Without a plan nothing is adopted,
    which is right before a teardown. `run` is the stack's own; with `None` (its record is lost) the
    stack's tag alone decides, and nothing counts as foreign.
    """
    known = _known(state)
    leftovers = [f for f in found if _keys(f).isdisjoint(known)]
    kept = [f for f in leftovers if f.type in KEPT]
    rest = [f for f in leftovers if f.type not in KEPT]
    foreign = [f for f in rest if not _is_ours(f, run, names)]
    ours = [f for f in rest if f not in foreign and not _is_users_own(f, known)]
    imports, removals = _match(ours, _wanted(plan, names), {f.id for f in foreign})
    return Sorted(tuple(imports), removal_order(removals), tuple(kept), tuple(foreign))


def removal_order(found: Iterable[Found]) -> tuple[Found, ...]:
    """What can be removed by itself, children first."""
    return tuple(
        sorted((f for f in found if f.type not in PARTS), key=lambda f: (-_rank(f.type), f.id))
    )


def _match(
    ours: Sequence[Found], wanted: dict[tuple[str, str], str], lost: set[str]
) -> tuple[list[Import], list[Found]]:
    """Give each wanted address its one resource; what lies in a removed one is removed too."""
    imports, removals = [], []
    children = [parent for f in ours for parent in f.parents]
    for item in sorted(ours, key=lambda f: _preference(f, children)):
        address = None if lost & set(item.parents) else wanted.pop((item.type, item.name), None)
        if address is not None:
            imports.append(Import(address, item))
        else:
            lost.add(item.id)
            removals.append(item)
    return imports, removals


def _preference(item: Found, children: Sequence[str]) -> tuple[int, int, str]:
    """Parents first; of duplicates the one with more in it, then always the same one."""
    return _rank(item.type), -children.count(item.id), item.id


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _is_ours(item: Found, run: str | None, names: Names) -> bool:
    """By the run's tag, or by a name that only one stack in account and region can have.

    S3 tags a bucket only after it was made, and RDS does not tag the log groups that it makes.
    """
    if run is None or item.run == run:
        return True
    logs = f"/aws/rds/instance/{names.prefix}/"
    by_name = (item.type, item.name) == ("aws_s3_bucket", names.bucket) or (
        item.type == "aws_cloudwatch_log_group" and item.name.startswith(logs)
    )
    return item.run is None and by_name


def _is_users_own(item: Found, known: set[tuple[str, str]]) -> bool:
    """A rule without tags in a finished group was put there by hand, and shows as drift."""
    groups = {("aws_security_group", parent) for parent in item.parents}
    return item.type in _RULES and not item.name and not groups.isdisjoint(known)


def _keys(item: Found) -> set[tuple[str, str]]:
    return {(item.type, key) for key in (item.id, item.arn) if key}


def _known(state: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """Type with id, ARN or identifier of everything in a state."""
    values = (state or {}).get("values") or {}
    return {
        (resource["type"], str(resource["values"][key]))
        for resource in _resources(values.get("root_module") or {})
        for key in ("id", "arn", "identifier")
        if resource.get("values", {}).get(key)
    }


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The managed resources of a module and of those in it."""
    yield from (r for r in module.get("resources", []) if r.get("mode") == "managed")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _wanted(plan: Mapping[str, Any] | None, names: Names) -> dict[tuple[str, str], str]:
    """What a plan would create: type and name -> address."""
    changes = (plan or {}).get("resource_changes", [])
    return {
        (change["type"], name): str(change["address"])
        for change in changes
        if change["mode"] == "managed" and change["change"]["actions"] == ["create"]
        if (name := _planned_name(change, names)) is not None
    }


def _planned_name(change: Mapping[str, Any], names: Names) -> str | None:
    if change["address"] in _PLACES:
        return names.prefix + _PLACES[change["address"]]
    after = change["change"]["after"] or {}
    if change["type"] in _NAMED_BY:
        name = after.get(_NAMED_BY[change["type"]])
    else:
        name = (after.get("tags") or {}).get("Name")
    return str(name) if name else None


def _quoted(text: str) -> str:
    """A string of HCL; a template in it stays text."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")
