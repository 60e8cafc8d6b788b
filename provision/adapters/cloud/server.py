"""What AWS says of the machine and the database, asked of both at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.account import DatabaseView, MachineView, ServerView
from provision.model.leftovers import STACK_TAG


def server_view(cloud: Cloud, instance_id: str, db_identifier: str) -> ServerView:
    """State and checks of the machine, status of the database; `None` for what is not there.

    One call each: DescribeInstanceStatus with IncludeAllInstances tells the state of a stopped
    machine too (AWS, EC2 API reference). RDS is asked while EC2's client, by far the largest, is
    still being made.
    """
    with explained(cloud, "look at the machine and the database"), ThreadPoolExecutor(1) as beside:
        rds = cloud.client("rds")
        database = beside.submit(_database, rds, db_identifier)
        machine = _machine(cloud.client("ec2"), instance_id)
        return ServerView(machine, database.result())


def machine_state(cloud: Cloud, instance_id: str) -> str:
    """EC2's word for the machine's state, or `gone`."""
    with explained(cloud, "look at the machine"):
        found = _machine(cloud.client("ec2"), instance_id)
    return found.state if found else "gone"


def elastic_ip(cloud: Cloud, stack: str) -> str:
    """The address that stays, found by the stack's tag.

    Raises `ProvisionError` where the account has none of it.
    """
    wanted = [{"Name": f"tag:{STACK_TAG}", "Values": [stack]}]
    with explained(cloud, "look for the server's address"):
        found = cloud.client("ec2").describe_addresses(Filters=wanted)["Addresses"]
    if not found:
        raise ProvisionError(
            f"the stack {stack} has no Elastic IP in {cloud.region}",
            next_step="provision plan shows what is missing; provision up makes it",
        )
    return str(found[0]["PublicIp"])


def _machine(ec2: Any, instance_id: str) -> MachineView | None:
    try:
        answer = ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)
    except Exception as error:
        if code_of(error).startswith("InvalidInstanceID"):
            return None
        raise
    for status in answer["InstanceStatuses"]:
        return MachineView(
            state=status["InstanceState"]["Name"],
            system_check=status.get("SystemStatus", {}).get("Status", "not-applicable"),
            machine_check=status.get("InstanceStatus", {}).get("Status", "not-applicable"),
        )
    return None


def _database(rds: Any, identifier: str) -> DatabaseView | None:
    try:
        answer = rds.describe_db_instances(DBInstanceIdentifier=identifier)
    except Exception as error:
        if code_of(error) in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise
    (found,) = answer["DBInstances"]
    return DatabaseView(
        status=found["DBInstanceStatus"],
        engine_version=found["EngineVersion"],
        instance_class=found["DBInstanceClass"],
        allocated_gib=int(found["AllocatedStorage"]),
        multi_az=bool(found["MultiAZ"]),
        restorable=_time(found.get("LatestRestorableTime")),
        backup_days=int(found.get("BackupRetentionPeriod") or 0),
    )


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else ""
