"""One lab with one machine and one database, shared by the tests that leave it as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.emulator import client
from provision.emulator.client import Emulated
from provision.emulator.lab.client import Done, Lab
from tests.lab.stack import REGION, Maker, Stack
from tests.needs import insist
from tests.waiting import until

USER_DATA = """\
#cloud-config
locale: C.UTF-8
write_files:
  - path: /srv/told
    content: rehearsed
runcmd:
  - [sh, -c, "cloud-init query instance_id >/srv/booted"]
"""


@dataclass(frozen=True)
class World:
    """An emulated account, the lab around it, and what is in it."""

    account: Emulated
    lab: Lab
    make: Maker
    stack: Stack

    def run(self, *words: str, given: str = "") -> Done:
        return self.lab.run(self.stack.instance, words, given=given)

    def out(self, *words: str, given: str = "") -> str:
        """What a command in the machine prints; it has to succeed."""
        done = self.run(*words, given=given)
        assert done.code == 0, (words, done)
        return done.out.strip()


def start(folder: Path) -> tuple[Emulated, Lab]:
    account = client.start(
        folder / "account", sys.executable, os.environ, regions=[REGION], faults=True
    )
    lab = Lab(folder / "lab", folder / "account", os.environ, REGION)
    lab.up()
    return account, lab


def stop(folder: Path, lab: Lab) -> None:
    lab.down()
    client.stop(folder / "account")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    insist("rehearsal")
    folder = tmp_path_factory.mktemp("lab")
    account, lab = start(folder)
    try:
        make = Maker(account.endpoint)
        stack = make.stack(USER_DATA, database=True)
        lab.look()
        made = World(account, lab, make, stack)
        until(lambda: made.run("test", "-s", "/srv/booted").code == 0, "the user data ran")
        yield made
    finally:
        stop(folder, lab)
