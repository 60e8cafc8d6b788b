"""The whole road of a stack in an account, by the command itself, from two laptops.

Ana makes the stack, whose state is shared; Ben, who has the spec and nothing else, uses it and ends
it. One stack lives through the tests of this file, in their order.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import audited
from tests.terraform.emulation import ACCOUNT, EmulatedAws
from tests.terraform.inventory import instances, inventory
from tests.terraform.laptop import Laptop, Said, laptop, ours, session_of
from tests.terraform.program import REGION, needs_terraform
from tests.terraform.spy import PLAN, Spy, everything_in, open_to_others

pytestmark = [needs_terraform, pytest.mark.slow, pytest.mark.xdist_group("up-road")]
STACK = "calm"
STATES = f"provision-{STACK}-team-state-{ACCOUNT}-{REGION}"
# The emulation's own authority: choosing another one costs the provider 80 more seconds of sleep.
ZONE = "Europe/Brussels"
# A year that is not over yet: AWS takes no schedule whose time has passed.
YEAR = datetime.now(UTC).year + 1
SPEC = f"""\
name: {STACK}
target: aws
lifetime:
  until: {YEAR}-12-31  # the last lesson
  hours: Mon-Fri 08:00-20:00 {ZONE}
  holidays: [{YEAR}-11-10 to {YEAR}-11-14]
aws:
  region: {REGION}
  ingress: ["203.0.113.0/24"]
  state: s3
  state_name: {STACK}-team
  settings:
    database_ca: rds-ca-default
    final_snapshot: true
"""


@dataclass
class Road:
    """Both laptops, their folder, what was in the account before, and what the first steps said."""

    aws: EmulatedAws
    folder: Path
    ana: Laptop
    ben: Laptop
    spy: Spy
    before: set[str]
    planned: Said
    after_plan: set[str]
    up: Said
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def road(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp(STACK)
    before = inventory(aws)
    keys = {name: session_of(aws, ACCOUNT, name) for name in ("ana", "ben")}
    ana, ben = (laptop(folder / name, aws, SPEC, **keys[name]) for name in keys)
    (folder / "caught").mkdir()
    with Spy(folder, folder / "caught").at_work() as spy:
        planned = ana.say("plan")
        after_plan = inventory(aws)
        up = ana.say("up", "--yes")
        secrets = {f"{name}'s {key}": value for name in keys for key, value in keys[name].items()}
        yield Road(aws, folder, ana, ben, spy, before, planned, after_plan, up, secrets)


def test_the_first_plan_says_what_would_be_made_and_makes_nothing(road: Road) -> None:
    assert road.planned.code == 3, road.planned.err
    document = road.planned.document
    assert (document["schema"], document["changes"]) == ("provision.plan/1", True)
    assert {line.split()[0] for line in document["lines"]} == {"create"}
    assert any("machine" in line for line in document["lines"])
    assert road.after_plan - road.before == {f"s3 Buckets {STATES}"}


def test_up_makes_it(road: Road) -> None:
    assert road.up.code == 0, road.up.err
    document = road.up.document
    (address,) = ours(road.aws, STACK, "describe_addresses", "Addresses")
    assert document["schema"] == "provision.up/1"
    assert document["uri"] == f"https://{address['PublicIp']}"
    assert (document["changed"], document["serving"]) == (True, False)
    assert list(instances(road.aws)) == [address["InstanceId"]]


def test_the_second_plan_is_empty(road: Road) -> None:
    plan = road.ana.say("plan")
    assert plan.code == 0, plan.err
    assert (plan.document["changes"], plan.document["lines"]) == (False, [])


def test_the_state_moves_home_and_back_and_the_stack_stays(road: Road) -> None:
    there, key = inventory(road.aws), f"{STACK}/terraform.tfstate"
    own = road.ana.aws_folder(STACK) / "terraform/stacks/tracking/terraform.tfstate"
    s3 = road.aws.client("s3")
    road.ana.spec(SPEC.replace(f"  state: s3\n  state_name: {STACK}-team\n", ""))
    plan = road.ana.say("plan")
    assert plan.code == 0 and "the next provision up moves it" in plan.err, plan.err
    assert not own.exists(), "a plan moves nothing"
    home = road.ana.say("up", "--yes")
    assert (home.code, home.document["changed"]) == (0, False), home.err
    assert "was moved here from s3://" in home.err and own.exists()
    assert s3.list_objects_v2(Bucket=STATES, Prefix=key)["KeyCount"] == 0

    road.ana.spec(SPEC)
    back = road.ana.say("up", "--yes")
    assert (back.code, back.document["changed"]) == (0, False), back.err
    assert f"was moved to s3://{STATES}/{key}" in back.err and not own.exists()
    assert seen_by(road.ben) == seen_by(road.ana)
    assert inventory(road.aws) == there


def seen_by(somebody: Laptop) -> dict[str, Any]:
    """A status, but for the moment that the database can be brought back to, which goes on."""
    seen = somebody.say("status").document
    assert seen["backup"].pop("at")
    return seen


def test_a_second_laptop_sees_the_same_stack(road: Road) -> None:
    first, second = road.ana.say("status"), road.ben.say("status")
    assert (first.code, second.code) == (0, 0), second.err
    assert seen_by(road.ana) == seen_by(road.ben)
    assert first.document["schema"] == "provision.status/1"
    assert first.document["detail"] == "machine running, database available"
    assert ACCOUNT in first.document["place"] and "emulated" in first.document["place"]
    lines = road.ben.ok("env", "--format", "bash")
    assert f"export MLFLOW_TRACKING_URI='{road.up.document['uri']}'" in lines
    assert lines == road.ana.ok("env", "--format", "bash")


def power(road: Road) -> tuple[str, str]:
    """The states of machine and database."""
    (machine,) = ours_of(road, "describe_instances", "Reservations")
    rds = road.aws.client("rds")
    (database,) = rds.describe_db_instances(DBInstanceIdentifier=f"provision-{STACK}")[
        "DBInstances"
    ]
    return machine["Instances"][0]["State"]["Name"], database["DBInstanceStatus"]


def ours_of(road: Road, operation: str, key: str) -> list[dict[str, Any]]:
    return ours(road.aws, STACK, operation, key)


def sunday_of_winter() -> datetime:
    """The night in which summer ends: the last Sunday of October."""
    end = datetime(YEAR, 10, 31, tzinfo=UTC)
    return end - timedelta(days=(end.weekday() + 1) % 7)


def played(road: Road, begin: datetime, days: float) -> list[tuple[str, str]]:
    fired = road.aws.scheduler.run(begin, begin + timedelta(days=days))
    refused = [item for item in fired if item.refused and "already" not in item.refused]
    assert not [item for item in refused if "InvalidDBInstanceState" not in item.refused], refused
    return [(f"{item.moment:%a %H:%M}", item.operation) for item in fired]


def test_aws_starts_and_stops_both_by_the_clock_on_the_wall(road: Road) -> None:
    """By the scheduler's own role, at a door where policies hold; in the week that summer ends."""
    sunday = sunday_of_winter()
    friday = played(road, sunday - timedelta(days=2), 1)
    assert friday == [
        ("Fri 08:00", "rds:startDBInstance"),
        ("Fri 08:00", "ec2:startInstances"),
        ("Fri 20:00", "rds:stopDBInstance"),
        ("Fri 20:00", "ec2:stopInstances"),
    ]
    assert power(road) == ("stopped", "stopped")
    weekend = played(road, sunday - timedelta(days=1), 2)
    assert {operation for _, operation in weekend} == {"rds:stopDBInstance", "ec2:stopInstances"}
    assert power(road) == ("stopped", "stopped")
    monday = played(road, sunday + timedelta(days=1), 0.5)
    assert [when for when, _ in monday] == ["Mon 08:00", "Mon 08:00"]
    assert power(road) == ("running", "available")


def test_holidays_start_nothing(road: Road) -> None:
    holidays = played(road, datetime(YEAR, 11, 10, tzinfo=UTC), 5)
    assert {operation for _, operation in holidays} == {"rds:stopDBInstance", "ec2:stopInstances"}
    assert power(road) == ("stopped", "stopped")


def test_up_wakes_what_is_stopped_and_changes_nothing(road: Road) -> None:
    up = road.ben.say("up", "--yes")
    assert up.code == 0, up.err
    assert (up.document["uri"], up.document["changed"]) == (road.up.document["uri"], False)
    assert power(road) == ("running", "available")


def test_a_pause_wins_over_the_office_hours_until_resume(road: Road) -> None:
    pause = road.ben.say("pause")
    assert pause.code == 0, pause.err
    assert pause.document["uri"] == road.up.document["uri"]
    assert power(road) == ("stopped", "stopped")
    assert road.ana.say("status").document["state"] == "stopped"
    road.aws.client("rds").start_db_instance(
        DBInstanceIdentifier=f"provision-{STACK}"
    )  # as RDS does
    awake = road.ana.say("status").document
    assert [finding["id"] for finding in awake["attention"]] == ["money.database-awake"]
    week = played(road, sunday_of_winter() - timedelta(days=7), 6)
    assert {operation for _, operation in week} == {"rds:stopDBInstance", "ec2:stopInstances"}
    assert power(road) == ("stopped", "stopped")
    assert road.ana.say("plan").code == 0, "a pause is no change that a plan would undo"

    resume = road.ana.say("resume")
    assert resume.code == 0, resume.err
    assert (resume.document["uri"], resume.document["changed"]) == (road.up.document["uri"], True)
    assert power(road) == ("running", "available")
    assert ("Fri 08:00", "ec2:startInstances") in played(
        road, sunday_of_winter() - timedelta(days=2), 1
    )
    again = road.ana.say("resume")
    assert again.code == 0, again.err


def test_more_time_is_written_into_the_spec_and_told_to_aws(road: Road) -> None:
    sooner = road.ana.say("extend", f"{YEAR}-12-01", "--yes")
    assert sooner.code == 2 and "is no later than its last day" in sooner.message
    extend = road.ana.say("extend", f"{YEAR + 1}-01-31", "--yes")
    assert extend.code == 0, extend.err
    assert extend.document["told"] is True
    assert (
        f"until: {YEAR + 1}-01-31  # the last lesson"
        in (road.ana.folder / "provision.yaml").read_text()
    )
    end = played(road, datetime(YEAR + 1, 1, 24, tzinfo=UTC), 1)
    assert end[:1] == [("Mon 09:00", "sns:publish")] or ("sns:publish" in {o for _, o in end})
    after = played(road, datetime(YEAR + 1, 1, 31, 12, tzinfo=UTC), 8)
    assert {o for _, o in after} == {"sns:publish", "rds:stopDBInstance", "ec2:stopInstances"}
    assert power(road) == ("stopped", "stopped")


def test_a_change_that_would_replace_the_database_is_refused(road: Road) -> None:
    there = inventory(road.aws)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-44cd-96ef-1234567890ab"
    road.ana.spec(f"{SPEC}  kms_key: {key}\n")
    up = road.ana.say("up", "--yes")
    road.ana.spec(SPEC)
    assert (up.code, up.document["error"]["kind"]) == (4, "RefusedError"), up.err
    assert "the database would be replaced: all experiments" in up.message
    assert "add --replace database" in up.next_step
    assert inventory(road.aws) == there


def test_another_account_or_region_than_the_stacks_own_is_refused(road: Road) -> None:
    there = inventory(road.aws)
    own = dict(road.ana.environment)
    road.ana.environment |= session_of(road.aws, "222222222222", "eve")
    elsewhere = [road.ana.say(*words) for words in (["up", "--yes"], ["down", "--delete-data"])]
    road.ana.environment = own
    for said in elsewhere:
        assert said.code == 4, said.err
        assert f"made in account {ACCOUNT}" in said.message and "222222222222" in said.message

    road.ana.spec(SPEC.replace(f"region: {REGION}", "region: eu-central-1"))
    moved = road.ana.say("up", "--yes")
    road.ana.spec(f'{SPEC}  account: "222222222222"\n')
    other = road.ana.say("plan")
    road.ana.spec(SPEC)
    assert (moved.code, other.code) == (4, 4)
    assert "is now asked for in eu-central-1" in moved.message
    assert "belongs to account 222222222222, as aws.account in the spec says" in other.message
    assert inventory(road.aws) == there


def test_a_stack_of_this_name_that_was_made_elsewhere_is_left_alone(road: Road) -> None:
    there = inventory(road.aws)
    spec = SPEC.replace(f"  state: s3\n  state_name: {STACK}-team\n", "")
    eve = laptop(road.folder / "eve", road.aws, spec)
    up = eve.say("up", "--yes")
    assert up.code == 4, up.err
    assert "that was not made from here" in up.message
    assert "give this stack another name" in up.next_step
    assert inventory(road.aws) == there


def test_no_secret_is_anywhere_and_every_file_is_private(road: Road) -> None:
    arn = road.aws.client("rds").describe_db_instances()["DBInstances"][0]["MasterUserSecret"]
    secret = road.aws.client("secretsmanager").get_secret_value(SecretId=arn["SecretArn"])
    password = json.loads(secret["SecretString"])["password"]
    (machine,) = instances(road.aws)
    sent = road.aws.client("ec2").describe_instance_attribute(
        InstanceId=machine, Attribute="userData"
    )
    held = dict(everything_in(road.folder))
    assert any(PLAN in name and name.endswith("!tfplan") for name in held), "no plan was caught"
    assert any(name.endswith("provision.tfvars.json") for name in held)
    state = road.aws.client("s3").get_object(Bucket=STATES, Key=f"{STACK}/terraform.tfstate")
    held |= {
        "state": state["Body"].read(),
        "user data": base64.b64decode(sent["UserData"]["Value"]),
        "argument lists": b"\n".join(road.spy.arguments),
    }
    assert b"terraform" in held["argument lists"] and arn["SecretArn"].encode() in held["state"]
    secrets = {k: v for k, v in road.secrets.items() if "ACCESS_KEY_ID" not in k}
    for what, value in {"password": password, **secrets}.items():
        assert len(value) > 6
        forms = {value.encode(), json.dumps(value)[1:-1].encode()}
        places = [name for name, content in held.items() if any(form in content for form in forms)]
        assert not places, f"{what} is in {places}"
    assert not open_to_others(road.ana.aws_folder(STACK))


def test_the_audit_finds_nothing_wrong_with_it(road: Road) -> None:
    audit = road.ana.say("audit", "--sarif", str(road.folder / "audit.sarif"))
    found = [(f["id"], f["observed"]) for f in audit.document["findings"] if f["outcome"] != "ok"]
    assert (audit.code, found) == (0, []), audit.err
    assert audit.document["passed"] and len(audit.document["findings"]) > 15
    sarif = json.loads((road.folder / "audit.sarif").read_text(encoding="utf-8"))
    assert sarif["runs"][0]["results"] == []


def test_the_audit_names_what_somebody_else_opened(road: Road) -> None:
    group = ours(road.aws, STACK, "describe_instances", "Reservations")
    ec2, s3, iam, rds = (road.aws.client(name) for name in ("ec2", "s3", "iam", "rds"))
    machine = group[0]["Instances"][0]
    wide = {"GroupId": machine["SecurityGroups"][0]["GroupId"], "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ]}  # fmt: skip
    (stored,) = rds.describe_db_instances(DBInstanceIdentifier=f"provision-{STACK}")["DBInstances"]
    to_database = {
        "GroupId": stored["VpcSecurityGroups"][0]["VpcSecurityGroupId"],
        "IpPermissions": [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}],
    }

    def shut() -> None:
        """As `--fix` does; Terraform would not see it."""
        assert len(audited.audit_of(road.ana, STACK).shut()) == 1

    bucket = f"provision-{STACK}-{ACCOUNT}-{REGION}"
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    role = {"RoleName": f"provision-{STACK}-server"}
    name = {**role, "PolicyName": "use-bucket-and-database"}
    own = iam.get_role_policy(**name)["PolicyDocument"]
    more = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    wider = json.dumps({**own, "Statement": [*own["Statement"], more]})
    admin = {**role, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    told = ec2.describe_instance_attribute(
        InstanceId=machine["InstanceId"], Attribute="userData")["UserData"]["Value"]  # fmt: skip
    tell = partial(ec2.modify_instance_attribute, InstanceId=machine["InstanceId"])
    options = partial(ec2.modify_instance_metadata_options, InstanceId=machine["InstanceId"])
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    database = {"DBInstanceIdentifier": f"provision-{STACK}"}
    state = road.ana.aws_folder(STACK) / "terraform" / "old.tfstate"
    cases = [
        (partial(ec2.authorize_security_group_ingress, **wide), shut, "exposure.other-way-in"),
        (partial(ec2.authorize_security_group_ingress, **to_database), shut, "exposure.database"),
        (partial(s3.delete_public_access_block, Bucket=bucket),
         partial(s3.put_public_access_block, Bucket=bucket,
                 PublicAccessBlockConfiguration=block), "exposure.bucket"),
        (partial(s3.delete_bucket_policy, Bucket=bucket),
         partial(s3.put_bucket_policy, Bucket=bucket, Policy=policy),
         "encryption.plain-allowed"),
        (partial(iam.put_role_policy, **name, PolicyDocument=wider),
         partial(iam.put_role_policy, **name, PolicyDocument=json.dumps(own)),
         "role.more-than-needed"),
        (partial(iam.attach_role_policy, **admin), partial(iam.detach_role_policy, **admin),
         "role.other-policy"),
        (partial(tell, UserData={"Value": base64.b64encode(audited.PLANTED.encode())}),
         partial(tell, UserData={"Value": told}), "secret.in-user-data"),
        (partial(rds.modify_db_instance, **database, PubliclyAccessible=True),
         partial(rds.modify_db_instance, **database, PubliclyAccessible=False),
         "exposure.database"),
        (partial(options, HttpTokens="optional"), partial(options, HttpTokens="required"),
         "exposure.metadata"),
        (partial(s3.delete_bucket_encryption, Bucket=bucket),
         partial(s3.put_bucket_encryption, Bucket=bucket,
                 ServerSideEncryptionConfiguration=encryption), "encryption.missing"),
        (partial(state.write_text, json.dumps({"a": audited.PLANTED}), encoding="utf-8"),
         state.unlink, "secret.in-state"),
    ]  # fmt: skip
    layers = ("exposure", "role", "encryption", "secret")
    for act, undo, expected in cases:
        with audited.done(act, undo):
            assert audited.findings_of(road.ana, STACK, *layers) == [expected]
    assert audited.findings_of(road.ana, STACK, *layers) == []


def test_down_without_a_word_about_the_data_is_refused(road: Road) -> None:
    there = inventory(road.aws)
    down = road.ana.say("down", "--yes")
    assert (down.code, down.document["error"]["kind"]) == (4, "RefusedError"), down.err
    assert "provision down --delete-data" in down.next_step
    assert inventory(road.aws) == there


def test_the_second_laptop_ends_it_and_nothing_is_left(road: Road) -> None:
    """Its database is guarded, and the name of its last snapshot was taken by an earlier stack."""
    _work_with_the_bucket(road.aws)
    rds, name = road.aws.client("rds"), f"provision-{STACK}"
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=True)
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-final")
    there = inventory(road.aws)
    refused = road.ben.say("down", "--delete-data", "--yes")
    assert refused.code == 4 and "add --lift-protection" in refused.next_step, refused.err
    assert inventory(road.aws) == there
    own = road.ben.folder / "for-the-finance-office.html"
    down = road.ben.say(
        "down", "--delete-data", "--yes", "--lift-protection", "--receipt", str(own)
    )
    assert down.code == 0, down.err
    found = rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    earlier, last = sorted(snapshot["DBSnapshotIdentifier"] for snapshot in found)
    assert earlier == f"{name}-final" and last.startswith(f"{name}-final-")
    for snapshot in (earlier, last):
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot)
    assert down.document["schema"] == "provision.down/1"
    assert any("is left in account" in note for note in down.document["notes"])
    assert inventory(road.aws) == road.after_plan
    assert road.ben.kept_of(STACK) == {"receipts"}
    receipt = down.document["receipt"]
    assert (receipt["complete"], receipt["left"], receipt["account"]) == (True, [], ACCOUNT)
    assert receipt["emptied"] == {"versions": 3, "bytes": 12, "markers": 1, "uploads": 1}
    assert sorted(kept["thing"]["name"] for kept in receipt["kept"]) == [earlier, last, STATES]
    kinds = {thing["kind"] for thing in receipt["existed"]}
    assert {"aws_vpc", "aws_instance", "aws_db_instance", "aws_s3_bucket", "aws_eip"} <= kinds
    assert receipt["usage"]["bucket"]["versions"] == 3
    assert str(own) in down.document["receipt_files"] and "nothing left" in own.read_text()


def test_the_first_laptop_learns_of_it(road: Road) -> None:
    status = road.ana.say("status")
    assert status.code == 0, status.err
    assert status.document["state"] == "stopped"
    assert "from another place" in status.document["detail"]
    down = road.ana.say("down", "--delete-data", "--yes")
    assert down.code == 0, down.err
    assert road.ana.kept_of(STACK) == {"receipts"}


def _work_with_the_bucket(aws: EmulatedAws) -> None:
    """Objects, an older version, a delete marker, and an upload that was never finished."""
    bucket = f"provision-{STACK}-{ACCOUNT}-{REGION}"
    s3 = aws.client("s3")
    for key, body in (("1/model.pkl", b"first"), ("1/model.pkl", b"second"), ("2/plot.png", b"p")):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.delete_object(Bucket=bucket, Key="2/plot.png")
    s3.create_multipart_upload(Bucket=bucket, Key="3/huge.bin")
    listed = s3.list_object_versions(Bucket=bucket)
    assert (len(listed["Versions"]), len(listed["DeleteMarkers"])) == (3, 1)
