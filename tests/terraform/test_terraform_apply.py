"""The whole road on the emulated account, as a team has it: apply, nothing left to do, destroy.

(`course` goes that road by `provision` itself, in `test_up_road.py` and `test_up_hard_times.py`.)
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.emulation import EmulatedAws
from tests.terraform.inventory import instances, inventory
from tests.terraform.program import REGION, Workspace, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
BUCKET = f"provision-churn-123456789012-{REGION}"
ADDRESS = "provision-churn.aaaaaaaaaa.eu-west-1.rds.amazonaws.com:5432"
VALUES = {
    "name": "churn",
    "region": REGION,
    "profile": "team",
    # With AWS' own lock on the database nothing destroys it: the plans check that it is on.
    "settings": {"deletion_protection": False},
    "user_data": "#cloud-config\n# provision-churn\n",
    "access": {"ingress_cidrs": ["203.0.113.0/24"]},
    "lifetime": {"ends_on": "2027-07-31", "alarm_email": "ml@example.com", "budget": 50},
}
# Choosing an authority costs the provider 80 more seconds of sleep here; the plans check it.
QUICKER = 'resource "aws_db_instance" "this" {\n  ca_cert_identifier = null\n}\n'


def test_apply_settles_and_destroy_leaves_the_account_as_it_was(
    aws: EmulatedAws, stack: Callable[[str], Workspace]
) -> None:
    before = inventory(aws)
    tracking = stack("tracking")
    database = tracking.folder / "terraform/modules/backend-store"
    (database / "quicker_override.tf").write_text(QUICKER, encoding="utf-8")
    plan = tracking.plan(VALUES)

    events = _events(tracking.ok("apply", "-json", str(tracking.folder / "plan.tfplan")))
    assert _started(events, "aws_instance.this") < _ended(events, "aws_db_instance.this")

    variables = f"-var-file={tracking.folder / 'plan.tfvars.json'}"
    again = tracking.run("plan", "-detailed-exitcode", "-no-color", variables)
    assert again.code == 0, again.out

    outputs = {k: v["value"] for k, v in json.loads(tracking.ok("output", "-json")).items()}
    assert outputs["artifacts"] == {"bucket": BUCKET, "uri": f"s3://{BUCKET}/artifacts"}
    assert outputs["database"]["address"] == ADDRESS
    _machine_is_as_promised(aws, outputs)
    (flow,) = aws.client("ec2").describe_flow_logs()["FlowLogs"]
    assert flow["TrafficType"] == "ALL"
    _bucket_is_as_promised(aws)
    _database_is_as_promised(aws)
    _password_is_nowhere(aws, tracking, outputs, plan)
    assert _budgets(aws) == {"provision-churn-month": {50.0, 80.0, 100.0}}

    tracking.ok("destroy", "-auto-approve", variables)
    snapshot = "provision-churn-final"
    assert inventory(aws) - before == {f"rds DBSnapshots {snapshot}"}
    aws.client("rds").delete_db_snapshot(DBSnapshotIdentifier=snapshot)
    assert inventory(aws) == before
    assert _budgets(aws) == {}


def _budgets(aws: EmulatedAws) -> dict[str, set[float]]:
    """Every budget with the percentages at which somebody is told."""
    client, account = aws.client("budgets"), {"AccountId": "123456789012"}
    found = {}
    for budget in client.describe_budgets(**account).get("Budgets", []):
        name = budget["BudgetName"]
        told = client.describe_notifications_for_budget(**account, BudgetName=name)
        found[name] = {notice["Threshold"] for notice in told["Notifications"]}
    return found


def _events(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def _started(events: list[dict[str, Any]], resource: str) -> datetime:
    return _when(events, "apply_start", resource)


def _ended(events: list[dict[str, Any]], resource: str) -> datetime:
    return _when(events, "apply_complete", resource)


def _when(events: list[dict[str, Any]], kind: str, resource: str) -> datetime:
    (moment,) = (
        event["@timestamp"]
        for event in events
        if event["type"] == kind and event["hook"]["resource"]["addr"].endswith(f".{resource}")
    )
    return datetime.fromisoformat(moment)


def _machine_is_as_promised(aws: EmulatedAws, outputs: dict[str, Any]) -> None:
    ec2 = aws.client("ec2")
    machine = instances(aws)[outputs["server"]["instance_id"]]
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert machine["IamInstanceProfile"]["Arn"].endswith(":instance-profile/provision-churn-server")
    (disk,) = ec2.describe_volumes()["Volumes"]
    assert (disk["Encrypted"], disk["VolumeType"]) == (True, "gp3")
    (address,) = ec2.describe_addresses()["Addresses"]
    assert address["InstanceId"] == machine["InstanceId"]
    assert address["PublicIp"] == outputs["server"]["public_ip"]
    assert _ways_in(ec2, machine["SecurityGroups"][0]["GroupId"]) == {(443, "203.0.113.0/24")}


def _ways_in(ec2: Any, group: str) -> set[tuple[int, str]]:
    """Port and source of each rule that lets traffic into a security group."""
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return {
        (r["ToPort"], r.get("CidrIpv4") or r["ReferencedGroupInfo"]["GroupId"])
        for r in rules["SecurityGroupRules"]
        if not r["IsEgress"]
    }


def _bucket_is_as_promised(aws: EmulatedAws) -> None:
    s3 = aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    switches = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(switches.values()) == {True}
    owner = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in [
        statement["Condition"] for statement in policy["Statement"]
    ]


def _database_is_as_promised(aws: EmulatedAws) -> None:
    rds = aws.client("rds")
    (database,) = rds.describe_db_instances()["DBInstances"]
    assert database["DBInstanceIdentifier"] == "provision-churn"
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["CopyTagsToSnapshot"]
    assert database["MasterUsername"] == "provision_admin"
    assert database["MultiAZ"] and database["BackupRetentionPeriod"] == 30
    assert database["PerformanceInsightsEnabled"]
    (group,) = database["DBParameterGroups"]
    parameters = rds.describe_db_parameters(DBParameterGroupName=group["DBParameterGroupName"])
    values = {p["ParameterName"]: p.get("ParameterValue") for p in parameters["Parameters"]}
    assert values["rds.force_ssl"] == "1"
    ec2 = aws.client("ec2")
    (machine,) = instances(aws).values()
    server = machine["SecurityGroups"][0]["GroupId"]
    ways = _ways_in(ec2, database["VpcSecurityGroups"][0]["VpcSecurityGroupId"])
    assert ways == {(5432, server)}


def _password_is_nowhere(
    aws: EmulatedAws, tracking: Workspace, outputs: dict[str, Any], plan: dict[str, Any]
) -> None:
    """The canary: the password that AWS made is in nothing that Terraform wrote or sent."""
    arn = outputs["database"]["admin_secret_arn"]
    secret = aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    password = json.loads(secret)["password"]
    assert len(password) > 6
    (machine,) = instances(aws)
    sent = aws.client("ec2").describe_instance_attribute(InstanceId=machine, Attribute="userData")[
        "UserData"
    ]["Value"]
    written = _written(tracking)
    assert any(name.endswith("terraform.tfstate") for name in written)
    assert any(name.endswith("plan.tfplan!tfplan") for name in written)
    for name, content in {
        **written,
        "user data": base64.b64decode(sent),
        "outputs": json.dumps(outputs).encode(),
        "plan as JSON": json.dumps(plan).encode(),
    }.items():
        assert password.encode() not in content, name
        assert json.dumps(password)[1:-1].encode() not in content, name
    assert (tracking.root / "terraform.tfstate").stat().st_mode & 0o077 == 0


def _written(tracking: Workspace) -> dict[str, bytes]:
    """State files and the members of the saved plan, which is a zip archive."""
    files: dict[str, bytes] = {
        path.name: path.read_bytes() for path in tracking.root.glob("terraform.tfstate*")
    }
    archive = Path(tracking.folder / "plan.tfplan")
    with zipfile.ZipFile(archive) as members:
        return files | {f"{archive.name}!{name}": members.read(name) for name in members.namelist()}
