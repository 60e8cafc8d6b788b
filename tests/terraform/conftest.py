"""The emulated account, and Terraform's configuration initialised against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.terraform.emulation import OVERRIDE, EmulatedAws, emulated_aws
from tests.terraform.program import REGION, Workspace, workspace


@pytest.fixture(scope="session")
def aws() -> Iterator[EmulatedAws]:
    with emulated_aws(REGION) as account:
        yield account


@pytest.fixture(scope="session")
def stack(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workspace]:
    """Makes a fresh copy with `stacks/NAME` as its root, turned to the emulated account."""

    def make(name: str) -> Workspace:
        root = Path("stacks") / name
        made = workspace(tmp_path_factory.mktemp(name), root, **aws.environment)
        (made.root / "emulated_override.tf").write_text(OVERRIDE, encoding="utf-8")
        return made

    return make
