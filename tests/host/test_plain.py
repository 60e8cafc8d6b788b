"""A rehearsal without booting: the whole host program in a folder, and a client that uses it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.adapters.tracking import TrackingClient
from provision.emulator import client as accounts
from provision.emulator.plain.client import FRONT, PlainLab
from provision.errors import ProvisionError, RefusedError
from provision.model.boot import BootReport
from tests.lab.host import Booting
from tests.lab.stack import REGION, Maker, Stack
from tests.needs import insist

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres"), pytest.mark.xdist_group("plain")]
PATIENCE_SECONDS = 600.0
URI = f"https://localhost:{FRONT.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def booting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booting]:
    insist("postgres")
    folder = tmp_path_factory.mktemp("plain")
    account = accounts.start(folder / "account", sys.executable, os.environ, regions=[REGION])
    lab = PlainLab(folder / "lab", folder / "account", REGION)
    lab.up()
    try:
        yield Booting(account, lab, Maker(account.endpoint), folder, URI)
    finally:
        lab.down()
        accounts.stop(folder / "account")


def ready(booting: Booting, stack: Stack, run: int) -> BootReport:
    """The report of this run, which has to end well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = booting.report(stack)
        if found is not None and found.run >= run and found.state == "ready":
            return found
        assert time.monotonic() < deadline, (found, booting.lab.trouble())
        time.sleep(0.2)


@pytest.fixture(scope="module")
def stack(booting: Booting) -> Stack:
    made = booting.ours(ssm=True)
    ready(booting, made, 1)
    return made


def logs(booting: Booting, stack: Stack) -> bool:
    endpoint = booting.endpoint(stack)
    assert endpoint is not None
    try:
        with TrackingClient.from_endpoint(endpoint, timeout=30) as client:
            run = client.create_run("0", "plain")
            client.log_batch(run.run_id, {"auc": 0.81}, {}, {})
            path = f"{run.artifact_uri.partition(':')[2].strip('/')}/part.bin"
            client.upload(path, b"content")
            found = client.get_run(run.run_id).metrics
            return found == {"auc": 0.81} and client.download(path) == b"content"
    except ProvisionError:
        return False


def soon(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_client_logs_with_accounts_and_verified_tls(booting: Booting, stack: Stack) -> None:
    report = booting.report(stack)
    assert report is not None
    assert {phase.state for phase in report.phases} <= {"done", "unchanged"}
    assert logs(booting, stack)
    kept = booting.make.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix="artifacts/")
    assert any(item["Key"].endswith("part.bin") for item in kept["Contents"])


def test_a_renewed_password_is_none_of_the_servers_business(booting: Booting, stack: Stack) -> None:
    booting.lab.rotate()
    assert logs(booting, stack)


def test_a_reboot_changes_nothing_and_commands_reach_the_folder(
    booting: Booting, stack: Stack
) -> None:
    booting.make.client("ec2").reboot_instances(InstanceIds=[stack.instance])
    report = ready(booting, stack, 2)
    assert set(report.phase("service").changed) <= {"the server was started"}
    soon(lambda: logs(booting, stack))
    ssm = booting.make.client("ssm")
    lines = [f"{PROGRAM} --ask", "systemctl is-active mlflow.service"]
    where = {
        "CommandId": ssm.send_command(
            InstanceIds=[stack.instance],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": lines},
        )["Command"]["CommandId"],
        "InstanceId": stack.instance,
    }
    soon(lambda: ssm.get_command_invocation(**where)["Status"] != "InProgress")
    said = ssm.get_command_invocation(**where)
    assert (said["StandardOutputContent"], said["ResponseCode"]) == ("active\n", 0), said


PROGRAM = "/usr/bin/python3 -I /opt/provision/bundle/provision.pyz"


def test_a_port_that_somebody_has_is_named(booting: Booting, stack: Stack) -> None:
    other = PlainLab(booting.folder / "other", booting.folder / "account", REGION)
    with pytest.raises(RefusedError, match="something else is there"):
        other.up()
    assert not other.is_up and logs(booting, stack)


def test_nothing_stays(booting: Booting, stack: Stack) -> None:
    booting.lab.down()
    assert not booting.lab.folder.exists()
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if readable(p)]
    lab = str(booting.lab.folder).encode()
    assert not [command for command in commands if lab in command]


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
