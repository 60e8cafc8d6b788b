"""A Debian boots from the user data of an emulated instance, as on EC2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.conftest import World

pytestmark = [pytest.mark.slow, pytest.mark.needs("rehearsal"), pytest.mark.xdist_group("lab")]
TOKEN = "http://169.254.169.254/latest/api/token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"


def answer(world: World, *options: str) -> tuple[int, str]:
    """Status and body of a request for metadata, without a token unless one is given."""
    text = world.out("curl", "-s", "-w", "\n%{http_code}", *options)
    body, _, status = text.rpartition("\n")
    return int(status), body


def metadata(world: World, path: str) -> str:
    _, token = answer(world, "-X", "PUT", "-H", f"{TTL}: 60", TOKEN)
    url = f"http://169.254.169.254/latest/{path}"
    status, body = answer(world, "-H", f"X-aws-ec2-metadata-token: {token}", url)
    assert status == 200, (path, status)
    return body


def test_the_user_data_ran_once_the_machine_knew_where_it_is(world: World) -> None:
    assert world.out("cat", "/srv/told") == "rehearsed"
    assert world.out("cat", "/srv/booted") == world.stack.instance
    status = world.out("cloud-init", "status", "--wait", "--long")
    assert "status: done" in status
    assert "DataSourceEc2Local" in status
    assert world.out("systemctl", "is-system-running", "--wait") == "running"


def test_the_metadata_is_the_accounts(world: World) -> None:
    found = world.make.client("ec2").describe_instances(InstanceIds=[world.stack.instance])
    instance = found["Reservations"][0]["Instances"][0]
    document = json.loads(metadata(world, "dynamic/instance-identity/document"))
    assert document["instanceId"] == world.stack.instance
    assert document["instanceType"] == instance["InstanceType"]
    assert metadata(world, "meta-data/local-ipv4") == instance["PrivateIpAddress"]
    assert metadata(world, "meta-data/public-ipv4") == world.stack.public_ip
    assert metadata(world, "meta-data/mac") == instance["NetworkInterfaces"][0]["MacAddress"]
    assert world.out("cat", "/sys/class/net/eth0/address") == metadata(world, "meta-data/mac")
    assert metadata(world, "meta-data/iam/security-credentials/") == world.stack.role


def test_metadata_takes_a_token_that_lives(world: World) -> None:
    url = "http://169.254.169.254/latest/meta-data/instance-id"
    assert answer(world, url)[0] == 401
    assert answer(world, "-H", "X-aws-ec2-metadata-token: made-up", url)[0] == 401
    assert answer(world, "-X", "PUT", TOKEN)[0] == 400
    assert answer(world, "-X", "PUT", "-H", f"{TTL}: 0", TOKEN)[0] == 400
    forwarded = ("-H", "X-Forwarded-For: 192.0.2.1")
    assert answer(world, "-X", "PUT", "-H", f"{TTL}: 60", *forwarded, TOKEN)[0] == 403
    _, token = answer(world, "-X", "PUT", "-H", f"{TTL}: 1", TOKEN)
    world.out("sleep", "1.5")
    assert answer(world, "-H", f"X-aws-ec2-metadata-token: {token}", url)[0] == 401


def test_the_machine_itself_never_asked_without_a_token(world: World) -> None:
    """The log of the metadata service is what tells: cloud-init's requests, before all tests."""
    lines = (world.lab.folder / "imds.log").read_text().splitlines()
    boot = lines[: next(n for n, line in enumerate(lines) if "/user-data" in line) + 1]
    kinds = {(line.split()[2], line.split()[4]) for line in boot}
    assert kinds == {("PUT", "token=no"), ("GET", "token=yes")}


def test_a_machine_has_the_memory_of_its_type(world: World) -> None:
    total = next(line for line in world.out("cat", "/proc/meminfo").splitlines())
    assert total.split() == ["MemTotal:", str(2 * 2**20), "kB"]
    code = "x = bytearray(3 * 2**30)"
    greedy = world.run("systemd-run", "--wait", "--pipe", "--quiet", "python3", "-c", code)
    assert greedy.code != 0
    assert world.run("true").code == 0


def test_packages_come_from_the_shelf_with_debians_signatures(world: World) -> None:
    world.out("apt-get", "-qq", "update")
    world.out("apt-get", "-qq", "--yes", "--no-install-recommends", "install", "postgresql-client")
    assert world.run("psql", "--version").code == 0
    asked = (world.lab.folder / "packages.log").read_text()
    assert "/debian-security/dists/bookworm-security/InRelease" in asked
    fine = world.run("apt-get", "-qq", "--yes", "install", "no-such-package")
    assert fine.code != 0


def test_nothing_leads_out_of_the_lab(world: World) -> None:
    assert world.run("curl", "-sS", "-m", "5", "https://192.0.2.1").code != 0
    assert world.run("curl", "-sS", "-m", "5", "-f", "https://example.com").code != 0
    for space in ("client", "outside", "aws"):
        routes = world.lab.run(space, ["ip", "-4", "route", "show", "default"]).out
        assert "dev home" not in routes
    assert not Path(f"/run/netns/{world.stack.instance}").exists()
