"""The emulated account, and Terraform's configuration initialised against it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.terraform import provider
from tests.terraform.emulation import OVERRIDE, EmulatedAws, emulated_aws
from tests.terraform.program import REGION, Workspace, environment, mirror, workspace


@pytest.fixture(scope="session")
def aws() -> Iterator[EmulatedAws]:
    with emulated_aws(REGION, faults=True) as account:
        yield account


@pytest.fixture(scope="session", autouse=True)
def one_provider(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The provider is started once for all tests of this process; see tests/terraform/provider."""
    binary = provider.binary_in(mirror())
    if binary is None or not shutil.which("terraform") or not provider.is_wanted():
        yield
        return
    seen = environment(tmp_path_factory.mktemp("provider")) | aws.environment
    with provider.running(binary, seen) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv(provider.VARIABLE, address)
        yield


@pytest.fixture(scope="session")
def stack(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workspace]:
    """Makes a fresh copy with `stacks/NAME` as its root, turned to the emulated account."""

    def make(name: str) -> Workspace:
        root = Path("stacks") / name
        made = workspace(tmp_path_factory.mktemp(name), root, **aws.environment)
        (made.root / "emulated_override.tf").write_text(OVERRIDE, encoding="utf-8")
        return made

    return make
