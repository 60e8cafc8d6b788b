"""`--emulated`: the account begins with the first command, and ends with the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.emulator import client
from provision.emulator.account import EmulatedAws
from tests.terraform.inventory import inventory
from tests.terraform.laptop import Laptop, laptop
from tests.terraform.program import REGION, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
SPEC = f"""\
name: dry
target: aws
aws:
  region: {REGION}
"""
# Whoever rehearses may be signed in to the real AWS: it must not be asked for anything.
_SIGNED_IN = {"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "x"}


@pytest.fixture
def dry(aws: EmulatedAws, tmp_path: Path) -> Iterator[Laptop]:
    made = laptop(tmp_path, aws, SPEC, **_SIGNED_IN)
    del made.environment["AWS_ENDPOINT_URL"]
    yield made
    client.stop(made.aws_folder("dry") / "emulator")


def test_it_is_the_stacks_own_and_goes_with_it(dry: Laptop) -> None:
    plan = dry.say("plan", "--emulated")
    assert plan.code == 3, plan.err
    assert "account 123456789012, region eu-west-1 (emulated on this machine)" in plan.err
    account = client.find(dry.aws_folder("dry") / "emulator")
    assert account is not None

    there = inventory(EmulatedAws(account.endpoint, account.door, REGION))
    up = dry.say("up", "--emulated")
    assert up.code == 4
    assert "nobody is here to confirm" in up.message and "--yes" in up.next_step
    assert inventory(EmulatedAws(account.endpoint, account.door, REGION)) == there

    assert dry.say("down", "--delete-data", "--yes").code == 0
    assert client.find(dry.aws_folder("dry") / "emulator") is None
    assert not (dry.folder / ".provision/dry").exists()
