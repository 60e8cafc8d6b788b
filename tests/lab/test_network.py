"""Who may talk to whom in the lab is what the account's security groups and policies say."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.lab.conftest import World
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("rehearsal"), pytest.mark.xdist_group("lab")]
SECONDS = 3.0


def reaches(address: str, port: int) -> bool:
    """From this machine."""
    try:
        socket.create_connection((address, port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def listening(world: World) -> Iterator[World]:
    for port in ("443", "8443"):
        unit = f"--unit=listener-{port}"
        world.out("systemd-run", "--quiet", unit, "python3", "-m", "http.server", port)
    until(lambda: reaches(world.stack.public_ip, 443), "the listener answers at the Elastic IP")
    yield world
    world.out("systemctl", "stop", "listener-443", "listener-8443")


@pytest.fixture
def mended(world: World) -> Iterator[World]:
    yield world
    world.lab.mend()


def test_only_the_named_port_is_open(listening: World) -> None:
    assert listening.run("curl", "-s", "-o", "/dev/null", "http://127.0.0.1:8443").code == 0
    assert not reaches(listening.stack.public_ip, 8443)


def test_only_named_networks_get_in(listening: World, mended: World) -> None:
    mended.lab.come_from("198.51.100.7")
    assert not reaches(listening.stack.public_ip, 443)
    mended.lab.mend()
    assert reaches(listening.stack.public_ip, 443)


def test_a_rule_that_goes_shuts_the_door(listening: World) -> None:
    ec2 = listening.make.client("ec2")
    rule = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
             "IpRanges": [{"CidrIp": "203.0.113.0/24"}]}]  # fmt: skip
    group = listening.stack.server_group
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)
    listening.lab.look()
    assert not reaches(listening.stack.public_ip, 443)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    listening.lab.look()
    assert reaches(listening.stack.public_ip, 443)


def test_the_machine_gets_out_by_its_rules_alone(world: World) -> None:
    s3 = f"s3.{world.make.client('s3').meta.region_name}.amazonaws.com"
    assert world.run("curl", "-s", "-m", "5", f"https://{s3}").code == 0
    assert world.run("curl", "-s", "-m", "3", f"http://{s3}").code != 0


def test_without_a_public_address_only_s3_is_near(world: World) -> None:
    ec2 = world.make.client("ec2")
    where = ec2.describe_addresses(PublicIps=[world.stack.public_ip])["Addresses"][0]
    ec2.disassociate_address(AssociationId=where["AssociationId"])
    world.lab.look()
    try:
        assert world.run("curl", "-s", "-m", "5", "https://s3.eu-west-1.amazonaws.com").code == 0
        assert world.run("curl", "-s", "-m", "3", "https://sts.eu-west-1.amazonaws.com").code != 0
        # Not from this machine, where another network may answer for an address that is not ours.
        url = f"http://{world.stack.public_ip}:443"
        assert world.lab.run("client", ["curl", "-s", "-m", "3", url]).code == 7
    finally:
        ec2.associate_address(AllocationId=where["AllocationId"], InstanceId=world.stack.instance)
        world.lab.look()
    assert world.run("curl", "-s", "-m", "5", "https://sts.eu-west-1.amazonaws.com").code == 0


def test_policies_hold_for_the_machine_and_not_for_its_keeper(world: World) -> None:
    script = """
token() { curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $1/api/token; }
at=http://169.254.169.254/latest
role() { curl -s -H "X-aws-ec2-metadata-token: $(token $at)" $at/meta-data/iam/security-credentials/$1; }
role "$(role)" >/srv/session
said() { python3 -c "import json; print(json.load(open('/srv/session'))['$1'])"; }
printf 'user = "%s:%s"\\nheader = "x-amz-security-token: %s"\\n' \
    "$(said AccessKeyId)" "$(said SecretAccessKey)" "$(said Token)" >/srv/signed
printf 'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\\naws-sigv4 = "aws:amz:eu-west-1:s3"\\n' \
    >>/srv/signed
for key in artifacts/mine provision/host/mine; do
    curl -s -o /dev/null -w '%{http_code} ' -K /srv/signed -T /srv/told "$1/$key"
done
curl -s -o /dev/null -w '%{http_code} ' "$1/artifacts/mine"
curl -s -K /srv/signed "$1/provision/host/ours"
"""  # noqa: E501
    bucket = f"https://{world.stack.bucket}.s3.eu-west-1.amazonaws.com"
    objects = world.make.client("s3")
    objects.put_object(Bucket=world.stack.bucket, Key="provision/host/ours", Body=b"by us")
    assert world.out("bash", "-s", bucket, given=script) == "200 403 403 by us"
    found = objects.get_object(Bucket=world.stack.bucket, Key="artifacts/mine")
    assert found["Body"].read() == b"rehearsed"


def test_parts_of_aws_can_be_cut_off(mended: World) -> None:
    imds = ("curl", "-s", "-m", "2", "-o", "/dev/null", "http://169.254.169.254/latest/api/token")
    assert mended.run(*imds).code == 0
    mended.lab.cut("imds")
    assert mended.run(*imds).code == 28  # curl's number for a time-out
    mended.lab.cut("s3", "refuse")
    assert mended.run("curl", "-s", "-m", "2", "https://s3.eu-west-1.amazonaws.com").code == 7
    mended.lab.mend()
    mended.lab.slow_metadata(3)
    assert mended.run(*imds).code == 28


def test_a_right_can_be_taken_and_a_clock_be_wrong(mended: World) -> None:
    session = mended.make.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::123456789012:role/{mended.stack.role}", RoleSessionName="i-1"
    )["Credentials"]
    s3 = boto3.client(
        "s3", region_name="eu-west-1", endpoint_url=mended.account.door,
        aws_access_key_id=session["AccessKeyId"], aws_session_token=session["SessionToken"],
        aws_secret_access_key=session["SecretAccessKey"],
    )  # fmt: skip
    where = {"Bucket": mended.stack.bucket, "Key": "artifacts/denied"}
    mended.lab.deny("s3:PutObject")
    with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
        s3.put_object(**where, Body=b"x")
    mended.lab.mend()
    mended.lab.clock(20 * 60)
    with pytest.raises(ClientError, match="RequestTimeTooSkewed"):
        s3.put_object(**where, Body=b"x")
    mended.lab.mend()
    s3.put_object(**where, Body=b"x")
