"""The modules laid out in a stack's own folder: whole, private, without what does not belong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.adapters.terraform.sources import OVERRIDE, lay_out, write_adoption
from tests.checkout import ROOT


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_all_of_it_is_private_whatever_the_umask(tmp_path: Path, open_umask: None) -> None:
    root = lay_out(tmp_path / "terraform", 'provider "aws" {}\n')
    write_adoption(root, "import {}\n")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "terraform").rglob("*.tf")}
    folders = {p.stat().st_mode & 0o777 for p in (root, *root.parents[:2], tmp_path / "terraform")}
    assert (modes, folders) == ({0o600}, {0o700})


def test_it_is_renewed_and_what_terraform_wrote_stays(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "terraform", 'provider "aws" {}\n')
    (root / "terraform.tfstate").write_text("{}")
    (root / "old.tf").write_text("")
    (root / "main.tf").write_text("")
    assert lay_out(tmp_path / "terraform") == root
    source = ROOT / "terraform/stacks/tracking"
    assert {p.name for p in root.glob("*.tf")} == {p.name for p in source.glob("*.tf")}
    assert (root / "main.tf").read_text() == (source / "main.tf").read_text()
    assert (root / "terraform.tfstate").exists() and not (root / OVERRIDE).exists()
