"""The provider that all tests share: Terraform uses it, and it ends when it should."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.terraform import provider
from tests.terraform.emulation import EmulatedAws
from tests.terraform.program import Workspace, environment, mirror, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
ASKS = """
provider "aws" {
  region                      = "eu-west-1"
  skip_credentials_validation = true
}
data "aws_caller_identity" "this" {}
output "account" {
  value = data.aws_caller_identity.this.account_id
}
"""


@pytest.fixture
def binary() -> Path:
    found = provider.binary_in(mirror())
    if found is None:
        pytest.skip("no mirror holds an unpacked provider: each command starts its own here")
    return found


def test_terraform_uses_the_one_that_runs(binary: Path, aws: EmulatedAws, tmp_path: Path) -> None:
    """Only the shared one knows where the account is: Terraform itself is not told."""
    (tmp_path / "main.tf").write_text(ASKS, encoding="utf-8")
    with provider.running(binary, environment(tmp_path) | aws.environment) as address:
        root = Workspace(tmp_path, tmp_path, {provider.VARIABLE: address})
        root.ok("init", "-input=false")
        root.ok("apply", "-auto-approve", "-input=false")
        assert json.loads(root.ok("output", "-json", "account")) == "123456789012"


def test_it_ends_with_its_block(binary: Path, tmp_path: Path) -> None:
    with provider.running(binary, environment(tmp_path)) as address:
        (told,) = json.loads(address).values()
        assert psutil.pid_exists(told["Pid"])
    assert not psutil.pid_exists(told["Pid"])


def test_one_that_does_not_start_is_no_riddle(tmp_path: Path) -> None:
    program = tmp_path / "provider"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(AssertionError, match="ended \\(3\\)"), provider.running(program, {}):
        pass
