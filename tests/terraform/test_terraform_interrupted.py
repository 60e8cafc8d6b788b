"""After a kill in mid-apply: what was left is adopted by the next plan, and destroy leaves nothing.

Without adoption the same kill ends with a second network, and with a destroy that says it is done
while the first one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.terraform.emulation import EmulatedAws
from tests.terraform.interruption import decide, imported, kill_when, values
from tests.terraform.inventory import inventory
from tests.terraform.program import Workspace, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
# Without the database and the bucket's lifecycle, whose waits are minutes of sleep in the provider.
QUICK = [
    f"-target=module.{place}"
    for place in (
        "network",
        "tracking_server",
        "lifetime",
        "artifact_store.aws_s3_bucket.this",
        "artifact_store.aws_s3_bucket_policy.this",
        "backend_store.aws_db_subnet_group.this",
        "backend_store.aws_db_parameter_group.this",
        "backend_store.aws_vpc_security_group_ingress_rule.from_server",
        "backend_store.aws_vpc_security_group_egress_rule.server_to_database",
    )
]
Reached = Callable[[EmulatedAws], Any]
POINTS: dict[str, Reached] = {
    "the network": lambda aws: _ours(aws, "describe_vpcs", "Vpcs"),
    "a subnet": lambda aws: _ours(aws, "describe_subnets", "Subnets"),
    "a rule": lambda aws: _ours(aws, "describe_security_group_rules", "SecurityGroupRules"),
    "the machine": lambda aws: _ours(aws, "describe_instances", "Reservations"),
}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.replace(" ", "-"))
def test_what_a_kill_left_is_adopted_and_destroyed(
    point: str, aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    tracking = stack("tracking")
    variables = _variables(tracking)
    kill_when(tracking, lambda: bool(POINTS[point](aws)), [variables, *QUICK])
    assert inventory(aws) != before

    decision = decide(aws, tracking, _plan(tracking))
    assert decision.imports, "a kill that left nothing proves nothing"
    assert not decision.foreign
    (tracking.root / "adopt.tf").write_text(decision.to_hcl(), encoding="utf-8")
    plan = _plan(tracking)
    assert imported(plan) == {item.address: item.found.id for item in decision.imports}
    tracking.ok("apply", "-auto-approve", variables, *QUICK)

    settled = decide(aws, tracking, _plan(tracking))
    assert (settled.imports, settled.removals) == ((), ())
    assert not _changes(_plan(tracking))
    tracking.ok("destroy", "-auto-approve", variables)
    assert inventory(aws) == before


def _variables(tracking: Workspace) -> str:
    import json

    file = tracking.folder / "plan.tfvars.json"
    file.write_text(json.dumps(values("killed")), encoding="utf-8")
    return f"-var-file={file}"


def _plan(tracking: Workspace) -> dict[str, Any]:
    import json

    out = tracking.folder / "plan.tfplan"
    tracking.ok("plan", _variables(tracking), f"-out={out}", *QUICK)
    value = json.loads(tracking.ok("show", "-json", str(out)))
    assert isinstance(value, dict)
    return value


def _changes(plan: dict[str, Any]) -> list[str]:
    quiet = (["no-op"], ["read"])
    return [c["address"] for c in plan["resource_changes"] if c["change"]["actions"] not in quiet]


def _ours(aws: EmulatedAws, operation: str, key: str) -> list[Any]:
    tagged = [{"Name": "tag:provision:stack", "Values": ["killed"]}]
    found = getattr(aws.client("ec2"), operation)(Filters=tagged)[key]
    assert isinstance(found, list)
    return found
