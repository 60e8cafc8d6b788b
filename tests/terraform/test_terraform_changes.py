"""What a running machine meets: a newer image, other user data, and a wish for a new machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.terraform.emulation import EmulatedAws, publish_image
from tests.terraform.program import REGION, Workspace, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("terraform-changes")]
VALUES = {"name": "changes", "region": REGION, "user_data": "#cloud-config\n"}
MACHINE = "module.tracking_server.aws_instance.this"


@pytest.fixture(scope="module")
def running(aws: EmulatedAws, stack: Callable[[str], Workspace]) -> Iterator[Workspace]:
    """The machine with what it needs, and since then a newer image."""
    tracking = stack("tracking")
    tracking.plan(VALUES)
    variables = f"-var-file={tracking.folder / 'plan.tfvars.json'}"
    tracking.ok("apply", "-auto-approve", variables, f"-target={MACHINE}")
    publish_image(aws, number=1)
    yield tracking
    publish_image(aws, number=0)
    tracking.ok("destroy", "-auto-approve", variables)


def test_a_newer_image_leaves_the_machine_alone(running: Workspace) -> None:
    assert _done_to_machine(running, VALUES) == ["no-op"]


def test_other_user_data_keeps_the_machine(running: Workspace) -> None:
    assert _done_to_machine(running, {**VALUES, "user_data": "#cloud-config\n#\n"}) == ["update"]


def test_other_user_data_replaces_the_machine_where_that_is_wanted(running: Workspace) -> None:
    wanted = {"user_data": "#cloud-config\n#\n", "settings": {"user_data_replace_on_change": True}}
    assert _done_to_machine(running, {**VALUES, **wanted}) == ["delete", "create"]


def test_the_disk_carries_the_stacks_tag(running: Workspace, aws: EmulatedAws) -> None:
    volumes = aws.client("ec2").describe_volumes()["Volumes"]
    tags = [{tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])} for volume in volumes]
    assert [t["provision:stack"] for t in tags] == ["changes"]


def _done_to_machine(running: Workspace, values: dict[str, Any]) -> list[str]:
    plan = running.plan(values, "later")
    (change,) = (c for c in plan["resource_changes"] if c["address"] == MACHINE)
    actions = change["change"]["actions"]
    assert isinstance(actions, list)
    return actions
