"""A stack in an emulated account, made by calls in two seconds instead of Terraform in ninety."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.specfile import parse
from provision.adapters.wheels import Wheel, WheelCache
from provision.host.settings import HostSettings
from provision.model.account import Identity
from provision.model.boot import CA_KEY, BootReport, Failure, first, log_key, report_key
from provision.model.leftovers import Names
from provision.model.outputs import ArtifactsOutput, DatabaseOutput, Outputs, ServerOutput
from provision.targets.aws_host import AwsHost
from provision.targets.aws_record import AwsPaths
from provision.targets.host_wait import Patience
from tests.terraform.emulation import ACCOUNT, EmulatedAws

REGION = "eu-west-1"
AT = "2026-11-21T10:00:00+00:00"
PASSWORD = "host-made-it-0123456789"
NAMES = Names.of("churn", ACCOUNT, REGION)
SOON = Patience(unseen=3.0, still=6.0, poll=0.02)
SPEC = "name: churn\ntarget: aws\naws: {region: eu-west-1, ingress: [203.0.113.0/24]}\n"


class Shelf(WheelCache):
    """Wheels without an index: a file of a few bytes for each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", {})
        self._shelf = folder

    def get(self, wheels: Any, architecture: str) -> dict[str, Path]:
        return {self._name(wheel, architecture): self._file(wheel) for wheel in wheels}

    def _name(self, wheel: Wheel, architecture: str) -> str:
        return f"{wheel.name}-{wheel.version}-{architecture}.whl"

    def _file(self, wheel: Wheel) -> Path:
        file = self._shelf / f"{wheel.name}.whl"
        file.write_text(str(wheel), encoding="utf-8")
        return file


@dataclass
class Stack:
    """The stack's account, its folder, and what Terraform would have said of it."""

    aws: EmulatedAws
    folder: Path
    cloud: Cloud
    me: Identity
    outputs: Outputs

    @property
    def instance(self) -> str:
        assert self.outputs.server is not None
        return self.outputs.server.instance_id

    def host(self, spec: str = SPEC, patience: Patience = SOON) -> AwsHost:
        paths = AwsPaths(self.folder)
        version = "3.17.2"
        return AwsHost(parse(spec, "spec", "churn"), paths, Shelf(self.folder), version, patience)

    def read(self, key: str) -> bytes | None:
        s3 = self.aws.client("s3")
        try:
            found: bytes = s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        return found

    def write(self, key: str, content: str) -> None:
        self.aws.client("s3").put_object(Bucket=NAMES.bucket, Key=key, Body=content.encode())

    def report(self, report: BootReport) -> None:
        self.write(report_key(self.instance), report.to_json())


def make(aws: EmulatedAws, folder: Path) -> Stack:
    tags = [{"Key": "provision:stack", "Value": "churn"}]
    place = {"LocationConstraint": REGION}
    aws.client("s3").create_bucket(Bucket=NAMES.bucket, CreateBucketConfiguration=place)
    ec2 = aws.client("ec2")
    spec = [{"ResourceType": "elastic-ip", "Tags": tags}]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=spec)["PublicIp"]
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    machine = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    secret = aws.client("secretsmanager").create_secret(Name="provision-churn/admin")["ARN"]
    environment = {**aws.environment, "AWS_CONFIG_FILE": "/dev/null"}
    cloud = Cloud(environment | {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, REGION, attempts=1)
    outputs = Outputs(
        "r-1", ACCOUNT, REGION,
        server=ServerOutput(machine["InstanceId"], address, image, secret),
        artifacts=ArtifactsOutput(NAMES.bucket, f"s3://{NAMES.bucket}/artifacts"),
        database=DatabaseOutput("provision-churn", "db:5432", "arn"),
    )  # fmt: skip
    return Stack(aws, folder, cloud, identity_of(cloud), outputs)


def passed(report: BootReport, *names: str, **of_last: Any) -> BootReport:
    """The report with these phases done; the last of them with these fields."""
    for name in names:
        phase = replace(report.phase(name), state="done", started_at=AT, ended_at=AT)
        last = of_last if name == names[-1] else {}
        report = report.with_phase(replace(phase, **last))
    return report


def ready(instance: str, run: int, *changed: str) -> BootReport:
    report = first(instance, run, AT)
    done = passed(report, *(phase.name for phase in report.phases), changed=changed)
    return replace(done, state="ready")


def broken(instance: str, run: int, phase: str = "database") -> BootReport:
    failure = Failure(
        phase, "db-refused", "the database refuses the password", "rotate it, then provision up",
        command="psql -c 'select 1'", tail=("FATAL: password authentication failed",),
    )  # fmt: skip
    report = passed(first(instance, run, AT), phase, state="failed")
    return replace(report, state="failed", failure=failure)


@dataclass
class StandIn:
    """Plays the host: waits for a whole bundle, writes reports, the authority and the login."""

    stack: Stack
    run: int = 1
    settings: list[HostSettings] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def boot(self, *changed: str) -> None:
        manifest = self._manifest()
        self._require_whole(manifest)
        instance, stack = self.stack.instance, self.stack
        stack.report(first(instance, self.run, AT))
        stack.report(passed(first(instance, self.run, AT), "role", "system"))
        stack.write(CA_KEY, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
        login = json.dumps({"username": "admin", "password": PASSWORD})
        secrets = stack.aws.client("secretsmanager")
        secrets.put_secret_value(SecretId="provision-churn/admin", SecretString=login)
        stack.write(log_key(instance), "line one\nline two\n")
        stack.report(ready(instance, self.run, *changed))
        self.run += 1

    def _manifest(self) -> dict[str, Any]:
        while (text := self.stack.read("provision/host/manifest.json")) is None:
            time.sleep(0.02)
        value = json.loads(text)
        assert isinstance(value, dict)
        return value

    def _require_whole(self, manifest: dict[str, Any]) -> None:
        import hashlib

        for name, said in manifest["files"].items():
            content = self.stack.read(f"provision/host/{name}") or b""
            if (len(content), hashlib.sha256(content).hexdigest()) != (
                said["bytes"],
                said["sha256"],
            ):
                self.problems.append(f"{name} is not what the manifest says")
            if name == "settings.json":
                self.settings.append(HostSettings.from_json(content.decode()))


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Something that happens elsewhere while the block runs."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()
