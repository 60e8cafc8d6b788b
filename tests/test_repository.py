"""What must be true of every file that git holds."""

from __future__ import annotations

import pytest

from tests.checkout import ROOT, tracked_files

# In pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = ["/" + "work/", "/" + "root/", "/tmp/" + "lab", "/home/" + "runner"]
REGISTRY_HOSTS = [
    "pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org",
    "deb.debian" + ".org",
]  # fmt: skip


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
