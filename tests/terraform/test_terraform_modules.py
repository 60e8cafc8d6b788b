"""Each module's own tests, with the provider's schema and without its network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terraform.program import MODULES, STACKS, TERRAFORM, needs_terraform, workspace

pytestmark = needs_terraform


def test_all_configuration_is_formatted(tmp_path: Path) -> None:
    made = workspace(tmp_path, Path("modules/naming"))
    assert made.ok("fmt", "-check", "-recursive", "-diff", str(TERRAFORM)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_keeps_its_promises(module: Path, tmp_path: Path) -> None:
    done = workspace(tmp_path, module).run("test", "-no-color")
    assert done.code == 0, done.out + done.err
    assert done.out.count("... pass") > 2


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_stack_is_valid_without_a_warning(stack: Path, tmp_path: Path) -> None:
    assert workspace(tmp_path, stack).ok("validate", "-no-color").strip().startswith("Success!")
