"""What must be true of every file that git holds, and of the Terraform modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, copy_to, tracked_files

# In pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = ["/" + "work/", "/" + "root/", "/tmp/" + "lab", "/home/" + "runner"]
REGISTRY_HOSTS = [
    "pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org",
    "deb.debian" + ".org",
]  # fmt: skip
MODULES = sorted({path.parent for path in (ROOT / "terraform/modules").glob("*/*.tf")})


@pytest.mark.needs("git")
@pytest.mark.parametrize("needle", [*MACHINE_PATHS, *REGISTRY_HOSTS])
def test_no_file_names_a_machine_or_a_registry(needle: str) -> None:
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    holders = [path for path in files if needle.encode() in path.read_bytes()]
    assert [str(path.relative_to(ROOT)) for path in holders] == []


@pytest.mark.needs("git")
def test_no_link_or_file_of_the_tree_leaves_it() -> None:
    assert [path for path in tracked_files() if not path.resolve().is_relative_to(ROOT)] == []


def terraform(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["terraform", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.needs("terraform")
def test_terraform_files_are_formatted() -> None:
    done = terraform("fmt", "-check", "-recursive", "-diff", cwd=ROOT / "terraform")
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("terraform", "git")
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_terraform_module_passes_its_own_tests(module: Path, tmp_path: Path) -> None:
    assert list((module / "tests").glob("*.tftest.hcl")), "a module brings its tests"
    there = copy_to(tmp_path) / module.relative_to(ROOT)
    ready = terraform("init", "-input=false", "-no-color", cwd=there)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    done = terraform("test", "-no-color", cwd=there)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout and "0 passed" not in done.stdout
