"""The power of a stack's machine and of its database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError

_PATIENCE: Final = 300.0
_DATABASE_PATIENCE: Final = 2400.0  # RDS backs up before it stops, and may be at work already
_POLL: Final = (0.5, 5.0)


def reboot(cloud: Cloud, instance: str) -> None:
    """Reboot it; returns at once, as EC2 does."""
    with explained(cloud, f"reboot {instance}"):
        cloud.client("ec2").reboot_instances(InstanceIds=[instance])


def stop(cloud: Cloud, instance: str) -> None:
    """Stop it, and wait until it is."""
    with explained(cloud, f"stop {instance}"):
        _until(cloud, instance, "running", "stopping", "stopped")
        cloud.client("ec2").stop_instances(InstanceIds=[instance])
        _until(cloud, instance, "stopped")


def start(cloud: Cloud, instance: str) -> None:
    """Start it; returns when EC2 says that it runs."""
    with explained(cloud, f"start {instance}"):
        _until(cloud, instance, "stopped", "running")
        cloud.client("ec2").start_instances(InstanceIds=[instance])
        _until(cloud, instance, "running")


def terminate(cloud: Cloud, instance: str) -> None:
    """End it for good, with its disk."""
    with explained(cloud, f"terminate {instance}"):
        cloud.client("ec2").terminate_instances(InstanceIds=[instance])
        _until(cloud, instance, "terminated")


def stop_database(cloud: Cloud, identifier: str) -> None:
    """Let it stop, once it is at rest; returns when RDS has taken the order."""
    with explained(cloud, f"stop the database {identifier}"):
        if _at_rest(cloud, identifier) == "available":
            cloud.client("rds").stop_db_instance(DBInstanceIdentifier=identifier)


def start_database(cloud: Cloud, identifier: str) -> None:
    """Let it start, once it is at rest; returns when RDS has taken the order."""
    with explained(cloud, f"start the database {identifier}"):
        if _at_rest(cloud, identifier) == "stopped":
            cloud.client("rds").start_db_instance(DBInstanceIdentifier=identifier)


def until_available(cloud: Cloud, identifier: str) -> None:
    """Wait until the database answers."""
    with explained(cloud, f"look at the database {identifier}"):
        _wait(lambda: _status(cloud, identifier), ("available",), identifier, _DATABASE_PATIENCE)


def _at_rest(cloud: Cloud, identifier: str) -> str:
    """RDS takes an order in two of its states alone."""
    states = ("available", "stopped")
    return _wait(lambda: _status(cloud, identifier), states, identifier, _DATABASE_PATIENCE)


def _status(cloud: Cloud, identifier: str) -> str:
    found = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)
    return str(found["DBInstances"][0]["DBInstanceStatus"])


def _until(cloud: Cloud, instance: str, *states: str) -> None:
    _wait(lambda: _state(cloud, instance), states, instance, _PATIENCE)


def _wait(look: Callable[[], str], states: tuple[str, ...], what: str, patience: float) -> str:
    began, pause = time.monotonic(), _POLL[0]
    while (state := look()) not in states:
        if time.monotonic() - began > patience:
            raise ProvisionError(
                f"{what} is {state} and not {' or '.join(states)} after {patience:.0f} s",
                next_step="look at it in the console, then run this again",
            )
        time.sleep(pause)
        pause = min(2 * pause, _POLL[1])
    return state


def _state(cloud: Cloud, instance: str) -> str:
    found = cloud.client("ec2").describe_instances(InstanceIds=[instance])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])
