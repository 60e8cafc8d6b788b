"""What the host starts with: the same bytes each time, whole when the manifest is there."""

from __future__ import annotations

import json
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from provision.adapters.specfile import load_spec, parse
from provision.errors import ProvisionError
from provision.host.settings import HostSettings
from provision.model.plan import Plan
from provision.model.terraform_events import ResourceEvent
from provision.targets import host_bundle
from provision.targets.host_delivery import ADDRESS_IS_KNOWN, BUCKET_IS_READY, Delivery
from tests.aws.stack import NAMES, SPEC, Stack, StandIn, beside
from tests.checkout import ROOT

pytestmark = [pytest.mark.xdist_group("aws-host"), pytest.mark.slow]


def settings_of(spec: str) -> HostSettings:
    return host_bundle.host_settings(
        parse(spec, "spec", "churn"), NAMES, region="eu-west-1", address="192.0.2.1",
        mlflow_version="3.17.2",
    )  # fmt: skip


def test_the_program_has_the_same_bytes_each_time_and_nothing_of_this_machine() -> None:
    made = host_bundle.program()
    assert made == host_bundle.program()
    with zipfile.ZipFile(BytesIO(made)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        names = set(archive.namelist())
    assert {"__main__.py", "provision/host/__main__.py", "provision/server/__main__.py"} <= names
    assert "provision/serving/page.html" in names, "models are served there"
    doors = ("provision/adapters/cloud", "provision/adapters/terraform", "provision/adapters/p")
    strays = [n for n in names if n.startswith(("provision/cli", "provision/targets", *doors))]
    assert not strays
    assert str(ROOT).encode() not in made


def test_the_program_starts_with_nothing_but_python_and_itself(tmp_path: Path) -> None:
    pyz = tmp_path / "provision.pyz"
    pyz.write_bytes(host_bundle.program())
    done = subprocess.run(
        ["python3", "-I", "-S", str(pyz), "--help"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--since" in done.stdout


def test_the_host_is_told_what_the_spec_says() -> None:
    told = settings_of(SPEC)
    assert told.hosts == ("192.0.2.1", "localhost", "127.0.0.1")
    assert (told.auth, told.artifacts, told.packages, told.ssm) == (
        "basic", "proxied", "index", True,
    )  # fmt: skip
    assert told.admin_secret == "provision-churn/admin"
    assert told.artifact_root == f"s3://{NAMES.bucket}/artifacts"
    assert told.database_identifier == "provision-churn"
    assert (told.workers, told.threads, told.memory, told.job_runner) == (None, None, None, False)
    assert HostSettings.from_json(told.to_json()) == told


def test_every_setting_of_a_spec_reaches_the_host() -> None:
    told = settings_of(
        "target: aws\nserver: {memory: 2GiB, workers: 3, threads: 5, job_runner: true}\n"
        "access: {auth: none, domain: mlflow.lab.example, allowed_hosts: ['*.lab.example', "
        "'other.lab.example:8080'], allowed_origins: ['https://lab.example']}\n"
        "artifacts: {mode: direct}\n"
        "aws: {packages: bundled, settings: {instance_type: t3.medium}}\n"
    )
    assert (told.memory, told.workers, told.threads, told.job_runner) == (2 << 30, 3, 5, True)
    assert told.hosts[0] == "mlflow.lab.example"
    assert told.extra_hosts == ("*.lab.example", "other.lab.example")
    assert told.allowed_origins == ("https://lab.example",)
    assert (told.auth, told.admin_secret) == ("none", "")
    assert (told.artifacts, told.packages) == ("direct", "bundled")


@pytest.mark.parametrize(("image", "arch"), [("", "x86_64"), ("/x/12/latest/arm64", "aarch64")])
def test_the_architecture_is_the_images(image: str, arch: str) -> None:
    setting = f"aws: {{settings: {{instance_type: t4g.small, image_parameter: {image}}}}}\n"
    spec = parse(f"target: aws\n{setting if image else ''}", "spec", "churn")
    assert host_bundle.architecture(spec) == arch
    assert host_bundle.lock_text(arch).count("--hash=sha256:") > 50


def test_a_bundle_arrives_whole_and_only_what_changed_arrives_again(stack: Stack) -> None:
    guest = StandIn(stack)
    with beside(guest.boot):
        assert len(deliver(stack)) == 4
    assert not guest.problems
    (told,) = guest.settings
    assert stack.outputs.server is not None
    assert told.hosts[0] == stack.outputs.server.public_ip
    assert deliver(stack) == ()
    assert deliver(stack, SPEC + "server: {workers: 2}\n") == ("settings.json",)
    stack.aws.client("s3").delete_object(Bucket=NAMES.bucket, Key="provision/host/uv.whl")
    assert deliver(stack, SPEC + "server: {workers: 2}\n") == ("uv.whl",)


def test_bundled_packages_lie_beside_the_program(stack: Stack) -> None:
    names = deliver(stack, SPEC.replace("{region", "{packages: bundled, region"))
    wheels = [name for name in names if name.startswith("wheels/")]
    assert len(wheels) == host_bundle.lock_text("x86_64").count("--hash=")
    manifest = json.loads(stack.read("provision/host/manifest.json") or b"")
    assert set(names) == set(manifest["files"])


def deliver(stack: Stack, spec: str = SPEC) -> tuple[str, ...]:
    delivery = stack.host(spec).delivery(stack.cloud, stack.me, Plan())
    delivery.start()
    return delivery.finish()


def _done(address: str) -> ResourceEvent:
    return ResourceEvent("done", address, "create")


def test_it_waits_for_the_bucket_and_the_address_and_for_nothing_else() -> None:
    plan = Plan.creating([BUCKET_IS_READY, ADDRESS_IS_KNOWN, "module.x.aws_db_instance.this"])
    said: list[str] = []
    delivery = Delivery(plan, lambda _: said.append("fetched"), lambda _: tuple(said))
    delivery.start()
    delivery.hear(_done(ADDRESS_IS_KNOWN))
    assert not delivery.may_send
    delivery.hear(_done(BUCKET_IS_READY))
    assert delivery.may_send
    assert delivery.finish() == ("fetched",)


def test_what_goes_wrong_beside_an_apply_is_said_after_it() -> None:
    def fails(_: object) -> None:
        raise ProvisionError("no index", next_step="mend the network")

    delivery = Delivery(Plan(), fails, lambda _: ())
    delivery.start()
    with pytest.raises(ProvisionError, match="no index"):
        delivery.finish()


def test_a_failed_apply_ends_it_without_an_upload() -> None:
    sent: list[str] = []

    def send(_: object) -> tuple[str, ...]:
        sent.append("everything")
        return ()

    delivery = Delivery(Plan.creating([BUCKET_IS_READY]), lambda _: None, send)
    delivery.start()
    delivery.cancel()
    assert not sent


def test_the_specs_of_the_tests_can_all_be_told() -> None:
    for name in ("everything-aws", "aws", "aws-existing-network"):
        spec = load_spec(ROOT / "tests/unit/specs/ok" / f"{name}.yaml")
        told = host_bundle.host_settings(
            spec, NAMES, region="eu-west-1", address="192.0.2.1", mlflow_version="3.17.2",
        )  # fmt: skip
        assert HostSettings.from_json(told.to_json()) == told
