"""A stack whose record and state are lost, taken away by its tags, in an account full of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision.accounts import Accounts
from provision.adapters.receipts import ReceiptFiles
from provision.adapters.specfile import parse
from provision.adapters.wheels import WheelCache
from provision.app import lifecycle
from provision.errors import RefusedError
from provision.model.layout import Layout
from provision.targets.aws import AwsTarget
from provision.targets.aws_host import AwsHost
from provision.targets.aws_record import AwsPaths
from provision.targets.base import DownOptions
from provision.ui import Ui
from provision.wiring import ask_beside
from tests.aws.crowd import OTHER_RUN, RUN, Crowd
from tests.aws.stack import REGION
from tests.terraform.emulation import ACCOUNT, EmulatedAws, emulated_aws
from tests.terraform.inventory import inventory

pytestmark = pytest.mark.slow  # each asks some twenty services several times
SPEC = f"name: churn\ntarget: aws\naws: {{region: {REGION}, ingress: [203.0.113.0/24]}}\n"
AT = "2026-11-27T22:31:10+00:00"


@dataclass
class Desk:
    """A laptop that has the spec and nothing else of the stack."""

    aws: EmulatedAws
    folder: Path
    shown: list[str] = field(default_factory=list)

    def target(self, spec: str = SPEC) -> AwsTarget:
        files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        seen = self.aws.environment | files
        read = parse(spec, "spec", "churn")
        layout = Layout.below(self.folder / ".provision", "churn")
        paths = AwsPaths.below(layout.root)
        host = AwsHost(read, paths, WheelCache(self.folder, "", {}), "")
        connect = Accounts(paths.emulator, "", seen, REGION)
        file = self.folder / "provision.yaml"
        return AwsTarget(read, file, layout, connect, host=host, now=lambda: AT, ask=ask_beside)

    def down(self, spec: str = SPEC, **options: Any) -> lifecycle.DownResult:
        chosen = DownOptions(
            delete_data=True, by_tag=True, approve=lambda w: self.shown.append(str(w)), **options
        )
        receipts = self.folder / ".provision/churn/receipts"
        return lifecycle.down(
            self.target(spec), "churn", options=chosen, confirm=lambda *_: None,
            progress=self._ui(), keep=ReceiptFiles(receipts).write,
        )  # fmt: skip

    def _ui(self) -> Ui:
        log = (self.folder / "log").open("a", encoding="utf-8")
        return Ui(log, log, color=False)

    def receipt(self) -> dict[str, Any]:
        (file,) = (self.folder / ".provision/churn/receipts").glob("*.json")
        value = json.loads(file.read_text(encoding="utf-8"))
        assert isinstance(value, dict)
        return value


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with emulated_aws(REGION) as aws:
        yield Desk(aws, tmp_path)


def everything(aws: EmulatedAws) -> set[str]:
    """Also what only backups and tests make."""
    ec2, more = aws.client("ec2"), set()
    own = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    more |= {f"snapshot {item['SnapshotId']}" for item in own}
    rules = aws.client("events").list_rules()["Rules"]
    more |= {f"rule {item['Name']}" for item in rules}
    listed = aws.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)
    more |= {f"secret {item['Name']}" for item in listed["SecretList"]}
    functions = aws.client("lambda").list_functions()["Functions"]
    more |= {f"function {item['FunctionName']}" for item in functions}
    own = [{"Key": "Owner", "Values": ["Self"]}]
    documents = aws.client("ssm").list_documents(Filters=own)["DocumentIdentifiers"]
    more |= {f"document {item['Name']}" for item in documents}
    scheduled = aws.client("scheduler").list_schedules()["Schedules"]
    more |= {f"schedule {item['GroupName']}/{item['Name']}" for item in scheduled}
    kept = aws.client("rds").describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    more |= {f"backup {b['DBInstanceIdentifier']}" for b in kept if b["Status"] == "retained"}
    budgets = aws.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
    more |= {f"budget {item['BudgetName']}" for item in budgets}
    return inventory(aws) | more


def test_everything_of_the_stack_goes_and_nothing_of_the_others(desk: Desk) -> None:
    for crowd in (
        Crowd(desk.aws, "churn-course", "churn-course", OTHER_RUN),
        Crowd(desk.aws, "chur", "chur", OTHER_RUN),
    ):
        crowd.everything()
    untagged = Crowd(desk.aws, "churn-old", None)
    untagged.network()
    untagged.disks()
    untagged.names()
    untagged.bucket()
    untagged.clockwork()
    untagged.backups()
    by_hand = Crowd(desk.aws, "churn-by-hand", "churn", run=None)
    by_hand.disks()
    logs = desk.aws.client("logs")
    logs.create_log_group(logGroupName="/aws/rds/instance/provision-churn-course/postgresql")
    decoys = everything(desk.aws)
    ours = Crowd(desk.aws, "churn", "churn")
    key = ours.everything()
    logs.create_log_group(logGroupName="/aws/rds/instance/provision-churn/postgresql")
    made = everything(desk.aws) - decoys
    new = {"function", "document", "schedule", "backup", "budget", "rule", "kms", "cloudwatch"}
    assert len(made) > 35 and new <= {item.partition(" ")[0] for item in made}

    result = desk.down()
    left = everything(desk.aws)
    kept = {f"kms Keys {key}", "rds DBSnapshots provision-churn-before-exam",
            "backup provision-churn-older"}  # fmt: skip
    # A disk's, and what the backups of a database consist of.
    parts = ("snapshot ", "rds DBSnapshots rds:provision-churn-older")
    snapshot = {item for item in made if item.startswith(parts)}
    assert decoys <= left, "something of somebody else's is gone"
    assert left - decoys == kept | snapshot
    receipt = desk.receipt()
    assert receipt["schema"] == "provision.receipt/1"
    assert (receipt["complete"], receipt["left"], receipt["run"]) == (True, [], RUN)
    assert receipt["emptied"] == {"versions": 2, "bytes": 11, "markers": 1, "uploads": 1}
    named = {item["thing"]["name"]: item["usd_per_month"] for item in receipt["kept"]}
    assert named["provision-churn-before-exam"] == pytest.approx(2.25, abs=0.1)
    assert named[key] == 1.0 and "provision-churn-older" in named
    assert "provision-churn-by-hand" in named, "what somebody made by hand is left alone, and named"
    assert {t["kind"] for t in receipt["existed"]} >= {
        "aws_vpc", "aws_ssm_parameter", "aws_ssm_document", "aws_lambda_function", "aws_eip",
        "aws_scheduler_schedule_group", "aws_cloudwatch_metric_alarm", "aws_budgets_budget",
    }  # fmt: skip
    assert any("is left in account" in note for note in result.notes)
    (shown,) = desk.shown
    assert "Stays, and costs: aws_db_snapshot provision-churn-before-exam" in shown
    assert "In its bucket: 2 versions of objects, 11 B." in shown

    again = desk.down()
    assert again.notes and everything(desk.aws) == left, "it is safe to repeat"

    desk.down(delete_backups=True)
    assert everything(desk.aws) - decoys == {f"kms Keys {key}"}


def test_a_protected_database_goes_only_with_consent_and_leaves_a_snapshot(desk: Desk) -> None:
    ours = Crowd(desk.aws, "churn", "churn")
    ours.network()
    ours.database(protected=True)
    there = everything(desk.aws)
    with pytest.raises(RefusedError) as refused:
        desk.down()
    assert "--lift-protection" in refused.value.next_step
    with pytest.raises(RefusedError, match="cannot be archived from here") as no_archive:
        desk.down(archive=print)
    assert "create-db-snapshot" in no_archive.value.next_step
    assert everything(desk.aws) == there and not desk.shown, "it asked before it refused"
    desk.down(lift_protection=True)
    left = {item for item in everything(desk.aws) if "provision-churn" in item}
    assert left == {
        "rds DBSnapshots provision-churn-before-exam",
        "rds DBSnapshots provision-churn-final-20261127-2231",
    }


def test_what_others_put_into_the_network_stops_it_before_anything_is_changed(desk: Desk) -> None:
    ours = Crowd(desk.aws, "churn", "churn")
    ours.network()
    ec2 = desk.aws.client("ec2")
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    guest = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=ours.subnets[0])
    machine = guest["Instances"][0]["InstanceId"]
    there = everything(desk.aws)
    with pytest.raises(RefusedError, match=f"of machine {machine}"):
        desk.down()
    assert everything(desk.aws) == there
    ec2.terminate_instances(InstanceIds=[machine])
    desk.down()
    assert not {item for item in everything(desk.aws) if ours.vpc in item}
