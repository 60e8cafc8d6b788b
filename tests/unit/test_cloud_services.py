"""The bucket for shared states, the view of the server and the listings, against moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.core.base_backend import BackendDict
from moto.server import ThreadedMotoServer

from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.listing import leftovers
from provision.adapters.cloud.removal import Patience, remove
from provision.adapters.cloud.server import server_view
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.state_bucket import covers, merged, state_bucket
from provision.errors import ProvisionError, RefusedError
from provision.model.account import Identity
from provision.model.leftovers import Found, Names, sort_out

pytestmark = [pytest.mark.xdist_group("cloud-services"), pytest.mark.slow]
REGION = "eu-west-1"
ACCOUNT = "123456789012"
BUCKET = f"provision-pricing-state-{ACCOUNT}-{REGION}"
NAMES = Names.of("churn", ACCOUNT, REGION)
TAGS = [{"Key": "provision:stack", "Value": "churn"}, {"Key": "provision:run", "Value": "run-1234"}]
SOON = Patience(1, 0.05)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    BackendDict.reset()
    return opened(endpoint)


def opened(endpoint: str, region: str = REGION, **keys: str) -> Cloud:
    given = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"} | keys
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return Cloud({**given, **files, "AWS_ENDPOINT_URL": endpoint}, region, attempts=1)


@pytest.fixture
def me(cloud: Cloud) -> Identity:
    return identity_of(cloud)


# The bucket for shared states.


def test_the_state_bucket_is_made_safe(cloud: Cloud, me: Identity) -> None:
    made = state_bucket(cloud, me, "pricing")
    assert (made.created, made.mended) == (True, ())
    assert made.backend("churn") == {
        "bucket": BUCKET,
        "key": "churn/terraform.tfstate",
        "region": REGION,
        "encrypt": True,
        "use_lockfile": True,
    }
    s3 = cloud.client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    switches = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(switches.values()) == {True}
    owner = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms"}
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {s["Effect"] for s in policy["Statement"]} == {"Deny"}
    assert {s["Sid"] for s in policy["Statement"]} == {"TlsOnly", "NoOldTls"}
    (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert lifecycle["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}


def test_a_second_laptop_changes_nothing(
    cloud: Cloud, me: Identity, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = state_bucket(cloud, me, "pricing")
    second = opened(endpoint)
    calls: list[str] = []
    second.client("s3").meta.events.register(
        "before-call.s3", lambda model, **_: calls.append(model.name)
    )
    again = state_bucket(second, me, "pricing")
    assert (again.created, again.mended) == (False, ())
    assert again.backend("churn") == first.backend("churn")
    assert calls
    assert all(call.startswith(("Head", "Get")) for call in calls), calls


def test_two_laptops_at_once(me: Identity, endpoint: str) -> None:
    with ThreadPoolExecutor(4) as at:
        made = list(at.map(lambda _: state_bucket(opened(endpoint), me, "pricing"), range(4)))
    assert {one.bucket for one in made} == {BUCKET}
    assert state_bucket(opened(endpoint), me, "pricing").mended == ()


def test_a_bucket_that_was_opened_by_hand_is_mended(cloud: Cloud, me: Identity) -> None:
    state_bucket(cloud, me, "pricing")
    s3 = cloud.client("s3")
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert state_bucket(cloud, me, "pricing").mended == ("public access", "versions")
    assert state_bucket(cloud, me, "pricing").mended == ()


def test_what_the_team_added_stays(cloud: Cloud, me: Identity) -> None:
    state_bucket(cloud, me, "pricing")
    s3 = cloud.client("s3")
    theirs = {"Key": "cost-centre", "Value": "4711"}
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [theirs]})
    statement = {
        "Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ACCOUNT},
        "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    assert state_bucket(cloud, me, "pricing").mended == ("policy", "tags")
    assert theirs in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    kept = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert [s["Sid"] for s in kept] == ["Theirs", "TlsOnly", "NoOldTls"]


def test_a_key_of_their_own(cloud: Cloud, me: Identity) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
    made = state_bucket(cloud, me, "pricing", key)
    assert made.backend("churn")["kms_key_id"] == key
    # Whoever has not heard of the key leaves it as it is.
    assert state_bucket(cloud, me, "pricing").mended == ()


def test_the_first_region_is_a_place_without_a_name(cloud: Cloud, endpoint: str) -> None:
    there = opened(endpoint, "us-east-1")
    made = state_bucket(there, identity_of(there), "pricing")
    assert made.created
    assert made.backend("churn")["region"] == "us-east-1"


@pytest.mark.parametrize("answer", [403, 404])
def test_a_bucket_of_another_account_gets_no_state(answer: int, me: Identity) -> None:
    """moto knows no owners, so S3's two answers about another's bucket come from here."""
    asked: list[str] = []

    class OthersBucket(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.headers["x-amz-expected-bucket-owner"])
            self.send_response(answer)
            self.end_headers()

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"<Error><Code>BucketAlreadyExists</Code><Message>taken</Message></Error>"
            self.send_response(409)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), OthersBucket)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(RefusedError, match="belongs to another account") as raised:
            state_bucket(opened(f"http://127.0.0.1:{server.server_port}"), me, "pricing")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "another name" in raised.value.next_step
    assert asked == [ACCOUNT]


def test_covering_is_saying_at_least_as_much() -> None:
    assert covers({"a": [{"b": 1, "c": 2}], "d": 3}, {"a": [{"b": 1}]})
    assert not covers({"a": [{"b": 2}]}, {"a": [{"b": 1}]})
    assert not covers(None, {"a": 1})
    assert not covers({}, [1])
    assert merged([{"k": 1, "v": 0}, {"k": 2}], [{"k": 1}], "k") == [{"k": 2}, {"k": 1}]
    assert merged(None, [{"k": 1}], "k") == [{"k": 1}]


# The view of the server.


def machine(cloud: Cloud) -> str:
    ec2 = cloud.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tagged = [{"ResourceType": "instance", "Tags": TAGS}]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tagged)
    return str(made["Instances"][0]["InstanceId"])


def database(cloud: Cloud, **more: Any) -> str:
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier="provision-churn",
        Engine="postgres",
        EngineVersion="16",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="provision_admin",
        ManageMasterUserPassword=True,
        Tags=TAGS,
        **more,
    )
    return "provision-churn"


def test_machine_and_database_at_work(cloud: Cloud) -> None:
    view = server_view(cloud, machine(cloud), database(cloud))
    assert view.machine is not None
    assert view.machine.state == "running"
    assert view.machine.healthy
    assert view.database is not None
    assert view.database.available
    assert (view.database.instance_class, view.database.allocated_gib) == ("db.t4g.micro", 20)


def test_a_stopped_machine_is_seen_and_not_called_healthy(cloud: Cloud) -> None:
    one = machine(cloud)
    cloud.client("ec2").stop_instances(InstanceIds=[one])
    view = server_view(cloud, one, "provision-churn").machine
    assert view is not None
    assert view.state == "stopped"
    assert not view.healthy


def test_what_is_not_there_is_none(cloud: Cloud) -> None:
    view = server_view(cloud, "i-0123456789abcdef0", "provision-churn")
    assert (view.machine, view.database) == (None, None)


def test_a_dead_network_is_an_error_and_not_an_empty_account() -> None:
    with pytest.raises(ProvisionError, match="does not answer"):
        server_view(opened("http://127.0.0.1:9"), "i-1", "db")


# What is listed, and what is not.


def test_a_namesake_and_a_longer_name_are_not_ours(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    for stack in ("churn", "churn-course"):
        tags = [{"Key": "provision:stack", "Value": stack}]
        given = {"AssumeRolePolicyDocument": "{}", "Tags": tags}
        iam.create_role(RoleName=f"provision-{stack}-server", **given)
    iam.create_role(RoleName="provision-churn-mine", AssumeRolePolicyDocument="{}")
    found = leftovers(cloud, NAMES).found
    assert [item.id for item in found] == ["provision-churn-server"]


def test_an_untagged_bucket_of_our_name_is_found_and_another_accounts_is_not(
    cloud: Cloud, endpoint: str
) -> None:
    place = {"LocationConstraint": REGION}
    cloud.client("s3").create_bucket(Bucket=NAMES.bucket, CreateBucketConfiguration=place)
    (bucket,) = leftovers(cloud, NAMES).found
    assert (bucket.type, bucket.run) == ("aws_s3_bucket", None)
    assert bucket.created is not None
    session = cloud.client("sts").assume_role(
        RoleArn="arn:aws:iam::999999999999:role/eve", RoleSessionName="eve"
    )["Credentials"]
    eve = opened(
        endpoint,
        AWS_ACCESS_KEY_ID=session["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=session["SecretAccessKey"],
        AWS_SESSION_TOKEN=session["SessionToken"],
    )
    assert identity_of(eve).account == "999999999999"
    assert leftovers(eve, NAMES).found == ()


def test_a_kind_that_the_kit_never_makes_is_named(cloud: Cloud) -> None:
    queue = cloud.client("sqs").create_queue(QueueName="left", tags={"provision:stack": "churn"})[
        "QueueUrl"
    ]
    assert queue
    listing = leftovers(cloud, NAMES)
    assert listing.found == ()
    assert listing.strangers == (f"arn:aws:sqs:{REGION}:{ACCOUNT}:left",)


def test_final_snapshots_are_kept(cloud: Cloud) -> None:
    database(cloud, CopyTagsToSnapshot=True)
    rds = cloud.client("rds")
    rds.delete_db_instance(
        DBInstanceIdentifier="provision-churn", FinalDBSnapshotIdentifier="provision-churn-final"
    )
    found = leftovers(cloud, NAMES).found
    decision = sort_out(found, run="run-1234", names=NAMES, state=None, plan=None)
    assert [item.id for item in decision.kept] == ["provision-churn-final"]
    assert "aws_db_snapshot" not in {item.type for item in decision.removals}


# What is removed, and what is not.


def test_a_bucket_with_artifacts_is_never_emptied(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    place = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=NAMES.bucket, CreateBucketConfiguration=place)
    s3.put_object(Bucket=NAMES.bucket, Key="model", Body=b"1")
    found = leftovers(cloud, NAMES).found
    with pytest.raises(RefusedError, match="could lose"):
        remove(cloud, found)
    with pytest.raises(RefusedError, match="holds artifacts"):
        remove(cloud, found, lose_data=True)
    assert s3.get_object(Bucket=NAMES.bucket, Key="model")["Body"].read() == b"1"


def test_nothing_is_touched_where_one_thing_holds_data(cloud: Cloud) -> None:
    one = machine(cloud)
    database(cloud)
    found = leftovers(cloud, NAMES).found
    assert {item.type for item in found} >= {"aws_instance", "aws_db_instance"}
    with pytest.raises(RefusedError):
        remove(cloud, found)
    view = server_view(cloud, one, "provision-churn")
    assert view.machine is not None
    assert view.machine.healthy


def test_removing_twice_is_the_same_as_once(cloud: Cloud) -> None:
    machine(cloud)
    database(cloud)
    found = leftovers(cloud, NAMES).found
    remove(cloud, found, lose_data=True, patience=SOON)
    remove(cloud, found, lose_data=True, patience=SOON)
    assert leftovers(cloud, NAMES).found == ()


def test_what_stays_in_use_is_named_with_what_uses_it(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    tagged = [{"ResourceType": "vpc", "Tags": TAGS}]
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tagged)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=subnet, Description="somebody's own")
    interface = made["NetworkInterface"]["NetworkInterfaceId"]
    with pytest.raises(ProvisionError, match="still there") as raised:
        remove(cloud, leftovers(cloud, NAMES).found, patience=SOON)
    assert network in raised.value.message
    assert f"{interface} (somebody's own)" in raised.value.message


def test_a_kind_that_cannot_be_removed_is_said_to_be(cloud: Cloud) -> None:
    with pytest.raises(ProvisionError, match="does not know how"):
        remove(cloud, [Found("aws_sqs_queue", "left", "", "left", "run-1234")])
