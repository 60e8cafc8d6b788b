"""The lab does what happens in its account, and leaves nothing behind, not even when killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from provision.emulator import record
from provision.emulator.lab import cgroups
from tests.lab.conftest import USER_DATA, World, start, stop
from tests.lab.stack import Maker
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("rehearsal"), pytest.mark.xdist_group("lab")]


def traces(folder: Path) -> list[str]:
    """All that can be seen of a lab from outside it."""
    lab = cgroups.short_id(folder)
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{cgroups.PREFIX}{lab}-*")]
    links = json.loads(subprocess.check_output(["ip", "-j", "link"]))
    found = groups + [link["ifname"] for link in links if lab in link["ifname"]]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    lines = ((p.pid, " ".join(p.info["cmdline"] or ())) for p in psutil.process_iter(["cmdline"]))
    found += [line for pid, line in lines if str(folder) in line and pid != os.getpid()]
    names = subprocess.check_output(["ip", "netns"], text=True).split()
    return found + names


AGENT = "https://s3.eu-west-1.amazonaws.com/amazon-ssm-eu-west-1/latest/debian_amd64/amazon-ssm-agent.deb"


@pytest.fixture
def second(tmp_path: Path, world: World) -> Iterator[World]:
    """A lab beside the shared one, whose machine may come to harm."""
    account, lab = start(tmp_path)
    make = Maker(account.endpoint)
    made = World(account, lab, make, make.stack(USER_DATA, database=True))
    lab.look()
    try:
        yield made
    finally:
        stop(tmp_path, lab)
    assert traces(lab.folder) == []
    assert not lab.folder.exists()


def machine(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.lab.status()["machines"].get(world.stack.instance, {})
    return found


def online(world: World) -> bool:
    try:
        return command(world, "true")["Status"] == "Success"
    except ClientError:
        return False


def command(world: World, *lines: str) -> dict[str, Any]:
    ssm = world.make.client("ssm")
    sent = ssm.send_command(
        InstanceIds=[world.stack.instance],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(lines)},
    )["Command"]["CommandId"]

    def result() -> dict[str, Any]:
        return dict(ssm.get_command_invocation(CommandId=sent, InstanceId=world.stack.instance))

    until(lambda: result()["Status"] != "InProgress", "the command ended")
    return result()


def test_a_machine_lives_as_its_account_says(second: World) -> None:
    ec2, ids = second.make.client("ec2"), [second.stack.instance]
    until(lambda: second.run("test", "-s", "/srv/booted").code == 0, "the user data ran")
    second.out("curl", "-sSf", "-o", "/srv/agent.deb", AGENT)
    second.out("dpkg", "--install", "/srv/agent.deb")
    until(lambda: online(second), "the agent tells that it is there")
    told = command(second, "cat /srv/told", "echo no >&2", "exit 3")
    assert (told["Status"], told["ResponseCode"]) == ("Failed", 3)
    assert (told["StandardOutputContent"], told["StandardErrorContent"]) == ("rehearsed", "no\n")
    second.out("touch", "/srv/kept")

    ec2.reboot_instances(InstanceIds=ids)
    until(lambda: machine(second)["boots"] == 2, "it boots again")
    ec2.stop_instances(InstanceIds=ids)
    until(lambda: not machine(second)["runs"], "it is off")
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        command(second, "true")
    ec2.start_instances(InstanceIds=ids)
    until(lambda: machine(second)["runs"], "it is on again")
    assert second.run("test", "-e", "/srv/kept").code == 0

    until(lambda: second.run("systemctl", "poweroff").code == 0, "its system listens")
    until(lambda: machine(second)["state"] == "stopped", "the account knows that it is off")
    ec2.terminate_instances(InstanceIds=ids)
    until(lambda: not machine(second), "it is gone")
    assert not (second.lab.folder / "machines" / second.stack.instance / "disk").exists()


def test_a_database_is_there_when_rds_says_so(world: World) -> None:
    rds, name = world.make.client("rds"), world.stack.database
    assert world.lab.status()["databases"][name]["runs"]
    world.lab.hold_database("late")
    rds.create_db_instance(
        DBInstanceIdentifier="late", Engine="postgres", DBInstanceClass="db.t4g.micro",
        MasterUsername="late", ManageMasterUserPassword=True, AllocatedStorage=20,
        DBSubnetGroupName=name,
    )  # fmt: skip
    world.lab.look()
    made = rds.describe_db_instances(DBInstanceIdentifier="late")["DBInstances"][0]
    assert (made["DBInstanceStatus"], made.get("Endpoint")) == ("creating", None)
    assert not world.lab.status()["databases"]["late"]["runs"]
    world.lab.release_database("late")
    assert world.lab.status()["databases"]["late"]["runs"]
    rds.delete_db_instance(DBInstanceIdentifier="late", SkipFinalSnapshot=True)
    world.lab.look()
    assert set(world.lab.status()["databases"]) == {name}


def test_nothing_stays_when_a_lab_is_killed(second: World, world: World) -> None:
    folder = second.lab.folder
    until(lambda: second.run("true").code == 0, "the machine runs")
    assert traces(folder)
    keeper = record.holder(folder)
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: all("cgroup" in trace for trace in traces(folder)), "the kernel ended it all")
    second.lab.clean()
    assert traces(folder) == []
    assert not folder.exists()
    assert world.run("true").code == 0, "the lab beside it is untouched"


def test_a_lab_ends_with_its_account(second: World) -> None:
    os.kill(second.account.pid, signal.SIGKILL)
    until(lambda: record.holder(second.lab.folder) is None, "the lab has ended")
    assert traces(second.lab.folder) == []


def test_a_disk_can_be_small(second: World) -> None:
    """It counts from the next boot; what was on the disk before is not there then."""
    ec2, ids = second.make.client("ec2"), [second.stack.instance]
    ec2.stop_instances(InstanceIds=ids)
    until(lambda: not machine(second)["runs"], "it is off")
    second.lab.limit(disk_bytes=300 * 2**20)
    ec2.start_instances(InstanceIds=ids)
    until(lambda: machine(second)["runs"], "it is on again")
    full = second.run("dd", "if=/dev/zero", "of=/srv/large", "bs=1M", "count=400")
    assert "No space left on device" in full.err
