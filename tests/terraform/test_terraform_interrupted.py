"""After a kill in mid-apply: what was left is adopted by the next plan, and destroy leaves nothing.

Without adoption the same kill ends with a second network, and with a destroy that says it is done
while the first one stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from provision.adapters.cloud.removal import Patience, remove
from provision.errors import RefusedError
from provision.model.leftovers import Sorted
from tests.terraform.emulation import EmulatedAws
from tests.terraform.interruption import cloud_of, decide, imported, kill_when, values
from tests.terraform.inventory import instances, inventory
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
# Choosing an authority costs the provider 80 more seconds of sleep here.
QUICKER = 'resource "aws_db_instance" "this" {\n  ca_cert_identifier = null\n}\n'
Reached = Callable[[EmulatedAws], Any]
POINTS: dict[str, Reached] = {
    "the network": lambda aws: _ours(aws, "describe_vpcs", "Vpcs"),
    "the machine": instances,
}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.replace(" ", "-"))
def test_what_a_kill_left_is_adopted_and_destroyed(
    point: str, aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    tracking = _killed(aws, stack, POINTS[point])

    decision = _adopt(aws, tracking)
    assert decision.imports, "a kill that left nothing proves nothing"
    assert (decision.removals, decision.foreign) == ((), ())

    _nothing_is_left_to_decide(aws, tracking)
    tracking.ok("destroy", "-auto-approve", _variables(tracking))
    assert inventory(aws) == before


def test_what_a_plain_second_run_doubled_is_removed(
    aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    tracking = _killed(aws, stack, lambda aws: _ours(aws, "describe_subnets", "Subnets"))
    (tracking.root / "terraform.tfstate").unlink(missing_ok=True)  # as if the kill came earlier
    second = tracking.run("apply", "-auto-approve", _variables(tracking), *QUICK)
    assert second.code == 1, "Terraform alone stumbles over what is there already"
    assert len(_ours(aws, "describe_vpcs", "Vpcs")) == 2

    doubled = decide(aws, tracking, _plan(tracking)).removals
    assert {"aws_vpc", "aws_subnet"} <= {item.type for item in doubled}
    seen: list[str] = []
    gone = remove(
        cloud_of(aws),
        doubled,
        on_progress=lambda item: seen.append(item.id),
        patience=Patience(60, 0.2),
    )
    assert seen == [item.id for item in gone]
    assert len(_ours(aws, "describe_vpcs", "Vpcs")) == 1

    _adopt(aws, tracking)
    _nothing_is_left_to_decide(aws, tracking)
    tracking.ok("destroy", "-auto-approve", _variables(tracking))
    assert inventory(aws) == before


def test_everything_goes_by_its_tags_when_the_state_is_lost(
    aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    tracking = _killed(aws, stack, POINTS["the machine"])
    (tracking.root / "terraform.tfstate").unlink()

    removals = decide(aws, tracking, None, run=None).removals
    with pytest.raises(RefusedError, match="provision-killed-123456789012"):
        remove(cloud_of(aws), removals)
    remove(cloud_of(aws), removals, lose_data=True, patience=Patience(60, 0.2))
    assert inventory(aws) == before


def test_a_kill_while_the_database_is_made(
    aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    databases = aws.client("rds").describe_db_instances
    tracking = _killed(aws, stack, lambda _: databases()["DBInstances"], everything=True)

    decision = _adopt(aws, tracking, everything=True)
    assert "aws_db_instance" in {item.found.type for item in decision.imports}
    assert not decision.removals
    _nothing_is_left_to_decide(aws, tracking, everything=True)
    tracking.ok("destroy", "-auto-approve", _variables(tracking))
    assert inventory(aws) == before


def _killed(
    aws: EmulatedAws,
    stack: Callable[[str], Workspace],
    reached: Reached,
    *,
    everything: bool = False,
) -> Workspace:
    """A stack whose first apply was killed as soon as `reached`."""
    before = inventory(aws)
    tracking = stack("tracking")
    database = tracking.folder / "terraform/modules/backend-store"
    (database / "quicker_override.tf").write_text(QUICKER, encoding="utf-8")
    targets = [] if everything else QUICK
    kill_when(tracking, lambda: bool(reached(aws)), [_variables(tracking), *targets])
    assert inventory(aws) != before
    return tracking


def _adopt(aws: EmulatedAws, tracking: Workspace, *, everything: bool = False) -> Sorted:
    """What `up` does then: the plan shows what is adopted, and the apply adopts it."""
    decision = decide(aws, tracking, _plan(tracking, everything=everything))
    (tracking.root / "adopt.tf").write_text(decision.to_hcl(), encoding="utf-8")
    plan = _plan(tracking, everything=everything)
    assert imported(plan) == {item.address: item.found.id for item in decision.imports}
    deleted = [c["address"] for c in plan["resource_changes"] if "delete" in c["change"]["actions"]]
    tainted = [c["address"] for c in plan["resource_changes"] if "tainted" in str(c)]
    assert deleted == tainted, "adopting must not replace"
    tracking.ok("apply", "-auto-approve", str(tracking.folder / "plan.tfplan"))
    return decision


def _nothing_is_left_to_decide(
    aws: EmulatedAws, tracking: Workspace, *, everything: bool = False
) -> None:
    plan = _plan(tracking, everything=everything)
    settled = decide(aws, tracking, plan)
    assert settled == Sorted()
    assert not _changes(plan)


def _variables(tracking: Workspace) -> str:
    file = tracking.folder / "plan.tfvars.json"
    file.write_text(json.dumps(values("killed")), encoding="utf-8")
    return f"-var-file={file}"


def _plan(tracking: Workspace, *, everything: bool = False) -> dict[str, Any]:
    out = tracking.folder / "plan.tfplan"
    targets = [] if everything else QUICK
    tracking.ok("plan", _variables(tracking), f"-out={out}", *targets)
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
