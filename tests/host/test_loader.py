"""The loader that user data holds: it waits, verifies, and goes on with what it has."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from provision.host import loader
from provision.host.aws import Aws
from provision.host.failures import HostError
from tests.host.cloud import KEYS, Cloud, running

MANIFEST = "provision/host/manifest.json"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with running() as found:
        yield found


@pytest.fixture
def door(cloud: Cloud) -> Aws:
    address = cloud.address
    stack = {"region": "eu-west-1", "bucket": "b-1", "endpoint": address, "metadata": address}
    return Aws(stack)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(loader, "BUNDLES", tmp_path / "bundles")
    monkeypatch.setattr(loader, "CURRENT", tmp_path / "bundle")
    monkeypatch.setattr(loader, "PAUSE", 0.0)
    return tmp_path


def fill(cloud: Cloud, **files: bytes) -> None:
    for name, content in files.items():
        cloud.objects[f"provision/host/{name}"] = content
    facts = {name: {"sha256": hashlib.sha256(c).hexdigest()} for name, c in files.items()}
    cloud.objects[MANIFEST] = json.dumps({"files": facts}).encode()


def expected_signature(seen: tuple[str, str, dict[str, str], bytes], service: str) -> str:
    """What botocore would have signed the same request with."""
    method, path, headers, body = seen
    names = re.search(r"SignedHeaders=([^,]+)", headers["authorization"])[1].split(";")  # type: ignore[index]
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(Credentials(*KEYS.values()), service, "eu-west-1")
    request = AWSRequest(method, f"http://x{path}", data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    lines = [method, path, "", *(f"{n}:{' '.join(headers[n].split())}" for n in sorted(names))]
    canonical = "\n".join([*lines, "", ";".join(names), headers["x-amz-content-sha256"]])
    return str(signer.signature(signer.string_to_sign(request, canonical), request))


@pytest.mark.parametrize("service", ["s3-get", "s3-put", "secretsmanager", "rds"])
def test_requests_are_signed_as_aws_wants_it(cloud: Cloud, door: Aws, service: str) -> None:
    cloud.objects["provision/a b.json"] = b"{}"
    cloud.answer = (200, b'{"SecretString": "x"}') if service != "rds" else (200, b"<a/>")
    {
        "s3-get": lambda: door.get("provision/a b.json"),
        "s3-put": lambda: door.put("provision/x", 'a "text"\nwith\\everything\té'),
        "secretsmanager": lambda: door.secret("name"),
        "rds": lambda: door.database("demo"),
    }[service]()
    seen = cloud.seen[-1]
    signature = re.search("Signature=([0-9a-f]+)", seen[2]["authorization"])[1]  # type: ignore[index]
    assert signature == expected_signature(seen, service.partition("-")[0])
    assert seen[2]["x-amz-security-token"] == KEYS["Token"]


def test_what_was_put_arrives_letter_by_letter(cloud: Cloud, door: Aws) -> None:
    text = 'a "text"\nwith \\everything\t\r\n@file %7B é'
    door.put("provision/boot/x.json", text)
    assert cloud.objects["provision/boot/x.json"].decode() == text


def test_a_bundle_is_fetched_and_becomes_the_current_one(
    cloud: Cloud, door: Aws, disk: Path
) -> None:
    fill(cloud, a=b"one", b=b"two")
    loader.load(door)
    assert (disk / "bundle" / "a").read_bytes() == b"one"
    first = (disk / "bundle").readlink()
    fill(cloud, a=b"one", b=b"changed")
    asked = len(cloud.seen)
    loader.load(door)
    assert (disk / "bundle" / "b").read_bytes() == b"changed"
    assert not first.exists()
    fetched = [path for _, path, _, _ in cloud.seen[asked:] if path.endswith("/a")]
    assert fetched == [], "what is the same is not fetched again"


def test_it_waits_for_a_bucket_that_comes_later(
    cloud: Cloud, door: Aws, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            fill(cloud, a=b"one")

    monkeypatch.setattr(loader.time, "sleep", sleep)
    loader.load(door)
    assert len(looks) == 3
    assert (disk / "bundle" / "a").exists()


def test_a_file_that_is_not_the_described_one_is_never_used(
    cloud: Cloud, door: Aws, disk: Path
) -> None:
    fill(cloud, a=b"one")
    cloud.objects["provision/host/a"] = b"another"
    with pytest.raises(ValueError, match="not the file that the manifest describes"):
        loader.fetch(door)
    assert not (disk / "bundle").exists()


def test_a_manifest_cannot_write_elsewhere(cloud: Cloud, door: Aws, disk: Path) -> None:
    fill(cloud, **{"../../escaped": b"one"})
    with pytest.raises(ValueError, match="outside of the bundle"):
        loader.fetch(door)


def test_without_the_bucket_the_last_bundle_serves(
    cloud: Cloud, door: Aws, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cloud, a=b"one")
    loader.load(door)
    cloud.objects.clear()
    monkeypatch.setitem(loader.PATIENCE, True, -1.0)
    loader.load(door)
    assert (disk / "bundle" / "a").read_bytes() == b"one"


def test_a_refused_bucket_is_reported_with_the_missing_right(
    cloud: Cloud, door: Aws, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.denied.add("GET")
    clock = iter(range(0, 10_000_000, 31))
    monkeypatch.setattr(loader.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(SystemExit):
        loader.load(door)
    report = json.loads(cloud.objects["provision/boot/i-0123456789abcdef0.json"])
    assert report["state"] == "running" and report["run"] == 0
    assert "s3:GetObject: 403" in report["phases"][0]["detail"]
    from provision.model.boot import BootReport

    assert BootReport.from_json(json.dumps(report)).phases[0].name == "bundle"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((400, b'{"__type":"AccessDeniedException","Message":"User: x is not authorized to '
          b'perform: secretsmanager:GetSecretValue"}'),
         "access-denied", "secretsmanager:GetSecretValue"),
        ((403, b"<Error><Code>AccessDenied</Code><Message>User: x may\nnot</Message></Error>"),
         "access-denied", "User: x may not"),
        ((403, b"<Code>RequestTimeTooSkewed</Code>"), "clock-off", "clock is wrong"),
        ((400, b'{"__type":"InvalidSignatureException","message":"Signature expired: 1 is now '
          b'earlier than 2"}'), "clock-off", "clock is wrong"),
        ((404, b"what"), "aws-unreachable", "404"),
    ],
)  # fmt: skip
def test_a_refusal_names_what_to_do(
    cloud: Cloud, door: Aws, answer: tuple[int, bytes], code: str, words: str
) -> None:
    cloud.answer = answer
    with pytest.raises(HostError) as caught:
        door.secret("name")
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_secret_without_a_value_is_none(cloud: Cloud, door: Aws) -> None:
    cloud.answer = (
        400,
        b'{"__type":"ResourceNotFoundException","Message":"Secrets Manager '
        b"can't find the specified secret value for staging label: AWSCURRENT\"}",
    )
    assert door.secret("name") is None


def test_a_machine_without_a_role_is_named(cloud: Cloud, door: Aws) -> None:
    cloud.role = ""
    with pytest.raises(HostError) as caught:
        door.role()
    assert caught.value.code == "no-role"


def test_the_clock_of_the_metadata_service_is_read(door: Aws) -> None:
    import time

    theirs = door.server_time()
    assert theirs is not None and abs(theirs - time.time()) < 30


RDS = """<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">
<DescribeDBInstancesResult><DBInstances><DBInstance>
<DBInstanceStatus>{status}</DBInstanceStatus>{more}
</DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"""


def test_a_database_is_read_from_rds_answer(cloud: Cloud, door: Aws) -> None:
    more = (
        "<Endpoint><Port>5433</Port><Address>d.rds</Address></Endpoint>"
        "<MasterUserSecret><SecretArn>arn:x</SecretArn></MasterUserSecret>"
    )
    cloud.answer = (200, RDS.format(status="available", more=more).encode())
    found = door.database("demo")
    assert found is not None
    assert (found.status, found.address, found.port, found.secret) == (
        "available", "d.rds", 5433, "arn:x",
    )  # fmt: skip
    cloud.answer = (200, RDS.format(status="creating", more="").encode())
    creating = door.database("demo")
    assert creating is not None and creating.address == ""
    cloud.answer = (404, b"<Code>DBInstanceNotFound</Code>")
    assert door.database("demo") is None


def test_a_notice_reaches_sns_with_a_subject_that_it_takes(cloud: Cloud, door: Aws) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:provision-demo-alarms"
    door.notify(topic, "démo: " + "x" * 200, "Grüße\nzwei")
    method, path, headers, body = cloud.seen[-1]
    sent = {key: values[0] for key, values in parse_qs(body.decode()).items()}
    assert (method, path, sent["Action"], sent["TopicArn"]) == ("POST", "/", "Publish", topic)
    assert sent["Message"] == "Grüße\nzwei"
    assert sent["Subject"].isascii() and len(sent["Subject"]) < 100
    assert "/sns/aws4_request" in headers["authorization"]


def test_machine_and_database_get_their_tag_as_each_service_spells_it(
    cloud: Cloud, door: Aws
) -> None:
    door.tag_machine("i-1", "provision:archived", "2026-12-18")
    door.tag_database("arn:aws:rds:eu-west-1:123456789012:db:d", "provision:archived", "2026-12-18")
    sent = [
        {key: values[0] for key, values in parse_qs(body.decode()).items()}
        for *_, body in cloud.seen[-2:]
    ]
    assert sent == [
        {"Action": "CreateTags", "Version": "2016-11-15", "ResourceId.1": "i-1",
         "Tag.1.Key": "provision:archived", "Tag.1.Value": "2026-12-18"},
        {"Action": "AddTagsToResource", "Version": "2014-10-31",
         "ResourceName": "arn:aws:rds:eu-west-1:123456789012:db:d",
         "Tags.Tag.1.Key": "provision:archived", "Tags.Tag.1.Value": "2026-12-18"},
    ]  # fmt: skip
