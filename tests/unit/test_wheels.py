"""Wheels for the host: by hash, through pip, and only once. A script stands in for pip's index."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from provision.adapters.wheels import Wheel, WheelCache, locked
from provision.errors import ProvisionError

PIP = """\
#!/bin/sh
echo "$@" >> "$SHELF/asked"
while [ $# -gt 0 ]; do
  case "$1" in --dest) dest=$2 ;; esac
  shift
done
[ -e "$SHELF/broken" ] && { echo "ERROR: no matching distribution" >&2; exit 1; }
cp "$SHELF"/*.whl "$dest"
"""


class Index:
    """What pip would find, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shelf"
        self.folder.mkdir()
        self.pip = folder / "pip"
        self.pip.write_text(PIP, encoding="utf-8")
        self.pip.chmod(0o755)
        environment = {"PATH": os.environ["PATH"], "SHELF": str(self.folder)}
        self.cache = WheelCache(folder / "cache", "", environment, [str(self.pip)])

    def has(self, name: str, version: str, content: bytes = b"wheel") -> Wheel:
        file = self.folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        file.write_bytes(content)
        return Wheel(name, version, hashlib.sha256(content).hexdigest())

    @property
    def asked(self) -> list[str]:
        file = self.folder / "asked"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


def test_a_wheel_is_fetched_once(index: Index) -> None:
    wheel = index.has("some-package", "1.0")
    (path,) = index.cache.get([wheel], "x86_64").values()
    assert path.read_bytes() == b"wheel"
    assert index.cache.get([wheel], "x86_64") == {path.name: path}
    (asked,) = index.asked
    for word in ("--require-hashes", "--only-binary=:all:", "--no-deps", "--python-version 3.11"):
        assert word in asked
    assert "manylinux_2_36_x86_64" in asked and "manylinux2014_x86_64" in asked


def test_one_that_was_cut_off_or_changed_is_fetched_again(index: Index) -> None:
    wheel = index.has("uv", "0.13.8")
    (path,) = index.cache.get([wheel], "aarch64").values()
    path.write_bytes(b"whe")
    (again,) = index.cache.get([wheel], "aarch64").values()
    assert again.read_bytes() == b"wheel"
    assert len(index.asked) == 2


def test_one_with_another_hash_is_never_given_out(index: Index) -> None:
    wheel = index.has("uv", "0.13.8")
    index.has("uv", "0.13.8", b"something else")
    with pytest.raises(ProvisionError, match="no wheel with the right hash for uv"):
        index.cache.get([wheel], "x86_64")


def test_what_pip_says_is_told(index: Index) -> None:
    wheel = index.has("uv", "0.13.8")
    (index.folder / "broken").touch()
    with pytest.raises(ProvisionError, match="no matching distribution") as caught:
        index.cache.get([wheel], "x86_64")
    assert "pip download" in caught.value.next_step
    assert not list((index.folder.parent / "cache").glob(".fetching-*"))


def test_a_lock_has_one_hash_for_each_package() -> None:
    digest = "a" * 64
    assert locked(f"# made\nuv==1.0 --hash=sha256:{digest}\n") == (Wheel("uv", "1.0", digest),)
    with pytest.raises(ValueError, match="one hash: uv"):
        locked("uv==1.0\n")
