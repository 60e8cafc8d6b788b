"""A stack on its worst days: interrupted, signed out, killed, without capacity; then up, and gone.

One stack lives through all of it, in the order of this file: every `up` goes on where the one
before was cut off, and what is left in the end is an account as empty as before.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from provision.emulator import control
from provision.emulator.faults import Fault
from provision.server.archive import stores
from provision.server.database import initialise
from provision.server.schemas import TRACKING
from tests.terraform.emulation import ACCOUNT, EmulatedAws, enforced
from tests.terraform.inventory import instances, inventory
from tests.terraform.laptop import Command, Laptop, Said, laptop, ours
from tests.terraform.program import REGION, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("up-hard-times")]
STACK = "stormy"
# The emulation's own authority: choosing another one costs the provider 80 more seconds of sleep.
# A year that is not over yet: AWS takes no schedule whose time has passed.
YEAR = datetime.now(UTC).year + 1
LAST_DAY = f"{YEAR}-06-30"
GONE = datetime(YEAR, 7, 8, tzinfo=UTC)
SPEC = f"""\
name: {STACK}
target: aws
lifetime:
  until: {LAST_DAY}
  at_end: teardown
aws:
  region: {REGION}
  ingress: ["203.0.113.0/24"]
  settings:
    database_ca: rds-ca-default
"""
# As often as an emulated account's provider asks again without giving up.
WEATHER = [
    Fault("throttle", "ec2", "CreateSubnet", times=2),
    Fault("error", "ec2", "CreateSecurityGroup", times=2),
    Fault("reset", "ec2", "RunInstances", times=2),
]


@dataclass
class Stormy:
    """The stack's laptop, its account, and what was in the account before."""

    laptop: Laptop
    aws: EmulatedAws
    before: set[str]

    @property
    def networks(self) -> set[str]:
        return {vpc["VpcId"] for vpc in ours(self.aws, STACK, "describe_vpcs", "Vpcs")}

    @property
    def state(self) -> str:
        return (self.root / "terraform.tfstate").read_text(encoding="utf-8")

    @property
    def root(self) -> Path:
        return self.laptop.aws_folder(STACK) / "terraform/stacks/tracking"

    @property
    def is_locked(self) -> bool:
        return (self.root / ".terraform.tfstate.lock.info").exists()


@pytest.fixture(scope="module")
def stormy(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stormy]:
    before = inventory(aws)
    yield Stormy(laptop(tmp_path_factory.mktemp(STACK), aws, SPEC), aws, before)
    control.set_faults(aws.endpoint, [])


def test_what_would_fail_is_said_before_anything_is_made(stormy: Stormy) -> None:
    """An account that lends the role of a learner lab makes no others, and works elsewhere."""
    iam = stormy.aws.client("iam")
    iam.create_role(RoleName="LabRole", AssumeRolePolicyDocument="{}")
    up = stormy.laptop.say("up", "--yes")
    iam.delete_role(RoleName="LabRole")
    assert "provision up --unasked" in up.next_step
    assert (up.code, up.document["error"]["kind"]) == (5, "MissingError"), up.err
    assert "nothing was made" in up.message and "account.learner-lab-region" in up.message
    assert inventory(stormy.aws) == stormy.before


def _cut_off(stormy: Stormy, act: Callable[[Command], None]) -> Said:
    """Act while `up` makes the network, of which AWS has made more than the state knows."""
    known = stormy.networks
    with stormy.laptop.at_work("up", "--yes") as up:
        up.when(lambda: stormy.networks - known, "there was a new network")
        act(up)
        return up.end()


def test_ctrl_c_stops_in_order_and_says_what_is_left(stormy: Stormy) -> None:
    up = _cut_off(stormy, Command.interrupt)
    assert up.code == 130
    assert up.document["error"]["kind"] == "UserInterruptError"
    assert "done and recorded in the state" in up.message
    assert "not finished: " in up.message and "aws_vpc" in up.message
    assert "provision down" in up.next_step
    assert not stormy.is_locked
    (network,) = stormy.networks
    assert network in stormy.state, "it is forgotten"


def test_ctrl_c_twice_is_as_safe(stormy: Stormy) -> None:
    def twice(up: Command) -> None:
        up.interrupt()
        up.interrupt()

    up = _cut_off(stormy, twice)
    assert up.code == 130
    assert "done and recorded in the state" in up.message
    assert not stormy.is_locked
    (network,) = stormy.networks
    assert network in stormy.state


def test_credentials_that_expire_meanwhile_are_named(stormy: Stormy) -> None:
    def expire(_: Command) -> None:
        control.set_faults(stormy.aws.endpoint, [Fault("expired")])

    up = _cut_off(stormy, expire)
    control.set_faults(stormy.aws.endpoint, [])
    assert up.code == 5, "as for every fault of the credentials"
    assert "expired" in up.message
    assert "sign in again" in up.next_step
    assert not stormy.is_locked


def test_what_a_kill_left_is_adopted_and_no_capacity_is_named(stormy: Stormy) -> None:
    killed = _cut_off(stormy, Command.kill)
    assert killed.code == -signal.SIGKILL
    # As if the kill had come before Terraform wrote down that the network of before is gone.
    copies = (stormy.root / "state-copies").glob("*.tfstate")
    newest = max(copies, key=lambda copy: copy.stat().st_mtime_ns)
    (stormy.root / "terraform.tfstate").write_bytes(newest.read_bytes())
    assert "aws_vpc" in stormy.state
    left = stormy.networks
    assert any(name not in stormy.state for name in left), (
        "the kill came too late to prove anything"
    )

    # Neither a machine nor a database: everything else is made, and the end comes soon.
    control.set_faults(stormy.aws.endpoint, [Fault("capacity")])
    up = stormy.laptop.say("up", "--yes")
    control.set_faults(stormy.aws.endpoint, [])
    assert up.code == 1
    assert "AWS has no capacity for this size" in up.message
    assert "wait some minutes" in up.next_step
    assert not stormy.is_locked and not instances(stormy.aws)
    assert stormy.networks == left, "a second network was made"


def test_a_quota_is_named_and_a_stack_that_is_half_built_goes(stormy: Stormy) -> None:
    control.set_faults(stormy.aws.endpoint, [Fault("quota")])
    up = stormy.laptop.say("up", "--yes")
    control.set_faults(stormy.aws.endpoint, [])
    assert up.code == 5
    assert "a quota of this account is used up" in up.message
    assert "servicequotas" in up.next_step

    down = stormy.laptop.say("down", "--delete-data", "--yes")
    assert down.code == 0, down.err
    assert inventory(stormy.aws) == stormy.before


def test_a_kill_of_terraform_alone_is_told(stormy: Stormy) -> None:
    up = _cut_off(stormy, Command.kill_terraform)
    assert up.code == 1, up.err
    assert "Terraform was killed (SIGKILL)" in up.message
    assert "provision up" in up.next_step
    assert stormy.laptop.say("plan").code == 3, "the next command works"


def test_in_bad_weather_it_is_up_all_the_same_and_nothing_is_double(stormy: Stormy) -> None:
    control.set_faults(stormy.aws.endpoint, WEATHER)
    up = stormy.laptop.say("up", "--yes")
    hits = control.met(stormy.aws.endpoint).hits
    control.set_faults(stormy.aws.endpoint, [])
    assert up.code == 0, up.err
    assert min(hits) > 0, "the weather was fair"
    (machine,) = instances(stormy.aws).values()
    (address,) = ours(stormy.aws, STACK, "describe_addresses", "Addresses")
    assert up.document["uri"] == f"https://{address['PublicIp']}"
    assert address["InstanceId"] == machine["InstanceId"]
    assert len(stormy.networks) == 1
    plan = stormy.laptop.say("plan")
    assert (plan.code, plan.document["changes"]) == (0, False)


def test_an_account_takes_down_only_what_its_machine_has_archived(
    stormy: Stormy, tmp_path: Path
) -> None:
    """By the scheduler's role and by the machine's, at a door where policies hold."""
    (machine,) = instances(stormy.aws)
    database = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:provision-{STACK}"
    first = stormy.aws.scheduler.run(GONE, GONE + timedelta(hours=12))
    assert [f.operation for f in first if not f.refused][:3] == [
        "rds:stopDBInstance", "ec2:stopInstances", "rds:startDBInstance",
    ]  # fmt: skip
    refused = {f.operation for f in first if "not authorized to perform" in f.refused}
    assert refused == {"ec2:terminateInstances", "rds:deleteDBInstance"}
    assert "running" in str(instances(stormy.aws)[machine]["State"])

    _archive(stormy, tmp_path)
    ec2, rds = (stormy.aws.client(name, f"provision-{STACK}-server") for name in ("ec2", "rds"))
    mine = {"Key": "provision:archived", "Value": LAST_DAY}
    others = {**mine, "Value": "another day"}, {"Key": "provision:stack", "Value": LAST_DAY}
    with enforced():
        for tag in others:
            with pytest.raises(ClientError, match="not authorized"):
                ec2.create_tags(Resources=[machine], Tags=[tag])
            with pytest.raises(ClientError, match="not authorized"):
                rds.add_tags_to_resource(ResourceName=database, Tags=[tag])
        rds.add_tags_to_resource(ResourceName=database, Tags=[mine])
        ec2.create_tags(Resources=[machine], Tags=[mine])

    second = stormy.aws.scheduler.run(GONE + timedelta(hours=12), GONE + timedelta(hours=14))
    assert {f.operation for f in second if not f.refused} == {
        "ec2:terminateInstances", "rds:deleteDBInstance",
    }  # fmt: skip
    assert not instances(stormy.aws)


def _archive(stormy: Stormy, folder: Path) -> None:
    """What a machine puts into the bucket, of a store without a run; and what a failed one left."""
    file = folder / "mlflow.db"
    initialise(stores.engine_for(f"sqlite:///{file}"), TRACKING)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    s3, bucket = stormy.aws.client("s3"), f"provision-{STACK}-{ACCOUNT}-{REGION}"
    older, part = (f"provision/transfer/ended-{LAST_DAY}-{n}" for n in ("2", "1"))
    s3.put_object(Bucket=bucket, Key=f"{older}/said.json", Body=b'{"event": "error"}')
    s3.put_object(Bucket=bucket, Key=f"{part}/mlflow.db", Body=file.read_bytes(),
                  Metadata={"sha256": digest})  # fmt: skip
    s3.put_object(Bucket=bucket, Key=f"{part}/said.json", Body=b'{"event": "done", "result": {}}')
    s3.put_object(Bucket=bucket, Key="artifacts/1/lost.txt", Body=b"found")


def test_what_is_left_is_archived_and_goes_without_a_trace(stormy: Stormy) -> None:
    down = stormy.laptop.say("down", "--delete-data", "--yes", "--archive", "all")
    assert down.code == 0, down.err
    assert (stormy.laptop.folder / "all/mlartifacts/1/lost.txt").read_text() == "found"
    receipt = down.document["receipt"]
    assert (receipt["complete"], receipt["left"]) == (True, [])
    last = f"provision-{STACK}-ended-{LAST_DAY.replace('-', '')}"
    assert [kept["thing"]["name"] for kept in receipt["kept"]] == [last]
    stormy.aws.client("rds").delete_db_snapshot(DBSnapshotIdentifier=last)
    assert inventory(stormy.aws) == stormy.before
    assert stormy.laptop.kept_of(STACK) == {"receipts"}
