"""Policies at the account's door: resources, conditions, refusals, signatures."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import auth
from botocore.config import Config
from botocore.exceptions import ClientError

from provision.emulator.client import Emulated
from tests.emulator.conftest import REGION
from tests.lab.stack import Maker

pytestmark = pytest.mark.slow
BUCKET = "rights-artifacts"


@pytest.fixture(scope="module")
def stack(emulated: Emulated) -> Maker:
    """A role with the rights of a tracking server, its bucket, its database and two secrets."""
    make = Maker(emulated.endpoint)
    ec2 = make.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.72.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.72.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    for bucket in (BUCKET, "rights-other"):
        make.client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    make.database("rights", [subnet], group)
    make.client("secretsmanager").create_secret(Name="other/admin", SecretString="x")
    make.client("rds").create_db_instance(
        DBInstanceIdentifier="rights-other", Engine="postgres", DBInstanceClass="db.t4g.micro",
        MasterUsername="other", ManageMasterUserPassword=True, AllocatedStorage=20,
    )  # fmt: skip
    make._role("rights", BUCKET)
    return make


Clients = Callable[..., Any]


@pytest.fixture
def server(emulated: Emulated, stack: Maker) -> Clients:
    """Clients with the role's credentials, at the door."""
    arn = "arn:aws:iam::123456789012:role/rights-server"
    session = stack.client("sts").assume_role(RoleArn=arn, RoleSessionName="i-1")["Credentials"]

    def make(service: str, secret: str = session["SecretAccessKey"]) -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=emulated.door,
            aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=secret,
            aws_session_token=session["SessionToken"],
            config=Config(
                retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
                signature_version="s3v4" if service == "s3" else "v4",
            ),
        )  # fmt: skip

    return make


def refused(call: Callable[..., Any], **given: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def managed(stack: Maker, name: str) -> str:
    found = stack.client("rds").describe_db_instances(DBInstanceIdentifier=name)
    return str(found["DBInstances"][0]["MasterUserSecret"]["SecretArn"])


def test_objects_are_the_roles_where_its_policy_says(server: Clients) -> None:
    s3 = server("s3")
    s3.put_object(Bucket=BUCKET, Key="artifacts/a", Body=b"1")
    assert s3.get_object(Bucket=BUCKET, Key="artifacts/a")["Body"].read() == b"1"
    assert refused(s3.put_object, Bucket="rights-other", Key="a", Body=b"1") == "AccessDenied"
    assert refused(s3.list_buckets) == "AccessDenied"
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "artifacts/a"}]})
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="artifacts/a")["KeyCount"] == 0
    elsewhere = s3.delete_objects(Bucket="rights-other", Delete={"Objects": [{"Key": "a"}]})
    assert [error["Code"] for error in elsewhere["Errors"]] == ["AccessDenied"]


def test_an_explicit_refusal_wins(server: Clients, stack: Maker) -> None:
    stack.client("s3").put_object(Bucket=BUCKET, Key="provision/host/x", Body=b"ours")
    s3 = server("s3")
    assert s3.get_object(Bucket=BUCKET, Key="provision/host/x")["Body"].read() == b"ours"
    where = {"Bucket": BUCKET, "Key": "provision/host/x"}
    assert refused(s3.put_object, Body=b"theirs", **where) == "AccessDenied"
    assert refused(s3.delete_object, **where) == "AccessDenied"


def test_only_the_named_database_is_described(server: Clients) -> None:
    rds = server("rds")
    found = rds.describe_db_instances(DBInstanceIdentifier="rights")["DBInstances"]
    assert [d["DBInstanceIdentifier"] for d in found] == ["rights"]
    other = refused(rds.describe_db_instances, DBInstanceIdentifier="rights-other")
    assert (other, refused(rds.describe_db_instances)) == ("AccessDenied", "AccessDenied")


def test_a_secret_opens_by_its_tag_and_by_its_name(server: Clients, stack: Maker) -> None:
    secrets = server("secretsmanager")
    value = secrets.get_secret_value(SecretId=managed(stack, "rights"))["SecretString"]
    assert json.loads(value)["username"] == "provision_admin"
    secrets.put_secret_value(SecretId="rights/admin", SecretString="made on the host")
    assert secrets.get_secret_value(SecretId="rights/admin")["SecretString"] == "made on the host"
    for closed in (managed(stack, "rights-other"), "other/admin"):
        with pytest.raises(ClientError, match="perform: secretsmanager:GetSecretValue") as caught:
            secrets.get_secret_value(SecretId=closed)
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_wrong_key_opens_nothing(server: Clients) -> None:
    assert refused(server("s3", "wrong").list_objects_v2, Bucket=BUCKET) == "SignatureDoesNotMatch"


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_presigned_address_is_as_good_as_its_signature(server: Clients) -> None:
    s3 = server("s3")
    s3.put_object(Bucket=BUCKET, Key="artifacts/p q", Body=b"shared")
    where = {"Bucket": BUCKET, "Key": "artifacts/p q"}
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    assert fetch(url) == (200, b"shared")
    assert fetch(url.replace("p%20q", "other"))[0] == 403
    assert fetch(url.partition("?")[0])[0] == 403
    other = {"Bucket": "rights-other", "Key": "a"}
    assert fetch(s3.generate_presigned_url("get_object", Params=other, ExpiresIn=60))[0] == 403


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[timedelta], None]]:
    """Sets the clock by which this process signs."""

    def shift(by: timedelta) -> None:
        monkeypatch.setattr(
            auth, "get_current_datetime", lambda **_: datetime.now(UTC).replace(tzinfo=None) + by
        )

    return shift


def test_a_clock_that_is_off_opens_nothing(
    server: Clients, clock: Callable[[timedelta], None]
) -> None:
    s3 = server("s3")
    s3.put_object(Bucket=BUCKET, Key="artifacts/p q", Body=b"shared")
    clock(timedelta(minutes=10))
    s3.list_objects_v2(Bucket=BUCKET)
    clock(timedelta(minutes=20))
    assert refused(s3.list_objects_v2, Bucket=BUCKET) == "RequestTimeTooSkewed"
    clock(timedelta(0))
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "artifacts/p q"}, ExpiresIn=60
    )
    assert fetch(url)[0] == 200
    clock(-timedelta(hours=1))
    old = s3.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "artifacts/p q"}, ExpiresIn=60
    )
    assert fetch(old)[0] == 403


def test_the_keepers_own_address_refuses_nothing(stack: Maker) -> None:
    assert stack.client("s3").list_objects_v2(Bucket="rights-other")["KeyCount"] == 0
