"""The machine's power, as somebody presses it in the console. For rehearsals alone."""

from __future__ import annotations

import time
from typing import Final

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError

_PATIENCE: Final = 300.0


def reboot(cloud: Cloud, instance: str) -> None:
    """Reboot it; returns at once, as EC2 does."""
    with explained(cloud, f"reboot {instance}"):
        cloud.client("ec2").reboot_instances(InstanceIds=[instance])


def stop(cloud: Cloud, instance: str) -> None:
    """Stop it, and wait until it is."""
    with explained(cloud, f"stop {instance}"):
        cloud.client("ec2").stop_instances(InstanceIds=[instance])
        _until(cloud, instance, "stopped")


def start(cloud: Cloud, instance: str) -> None:
    """Start it; returns when EC2 says that it runs."""
    with explained(cloud, f"start {instance}"):
        cloud.client("ec2").start_instances(InstanceIds=[instance])
        _until(cloud, instance, "running")


def terminate(cloud: Cloud, instance: str) -> None:
    """End it for good, with its disk."""
    with explained(cloud, f"terminate {instance}"):
        cloud.client("ec2").terminate_instances(InstanceIds=[instance])
        _until(cloud, instance, "terminated")


def _until(cloud: Cloud, instance: str, state: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _state(cloud, instance) != state:
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"{instance} is not {state} after {_PATIENCE:.0f} s",
                next_step="look at it in the console, then run this again",
            )
        time.sleep(0.5)


def _state(cloud: Cloud, instance: str) -> str:
    found = cloud.client("ec2").describe_instances(InstanceIds=[instance])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])
