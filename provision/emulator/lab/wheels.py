"""A wheelhouse: the wheels of a lock file, fetched once by pip."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from provision.emulator.lab.needs import path_of
from provision.emulator.lab.system import run, write
from provision.errors import MissingError

# glibc's versions up to Debian 12's own, as wheels name them (PEP 600).
_PLATFORMS = (
    *(f"manylinux_2_{minor}" for minor in range(36, 4, -1)), "manylinux2014", "manylinux2010",
)  # fmt: skip


@dataclass(frozen=True)
class Wheel:
    """One file and its hash."""

    name: str
    sha256: str


class Wheelhouse:
    """A folder of wheels; hashes are taken once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, str] = {}

    def of(self, project: str) -> list[Wheel]:
        """Its files, by the normalised name of the project."""
        if not self._folder.is_dir():
            return []
        names = sorted(path.name for path in self._folder.glob("*.whl"))
        return [Wheel(n, self._hash(n)) for n in names if normal(n.split("-")[0]) == project]

    def _hash(self, name: str) -> str:
        if name not in self._hashes:
            with (self._folder / name).open("rb") as handle:
                self._hashes[name] = hashlib.file_digest(handle, "sha256").hexdigest()
        return self._hashes[name]


def normal(name: str) -> str:
    """A project's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_of(architecture: str) -> Path:
    """What a host installs: the lock file that travels with the host program."""
    return Path(__file__).parents[2] / "host" / "locks" / f"{architecture}.lock"


def fill(shelf: Path, lock: Path, say: Callable[[str], None]) -> None:
    """Fetch what a lock file names, once, by pip with this machine's own settings."""
    text = lock.read_bytes()
    mark = shelf / f"wheels-{hashlib.sha256(text).hexdigest()[:16]}"
    if mark.exists():
        return
    say("fetching the wheels that a host installs, once for this lock file")
    words = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes"]
    where: list[str | Path] = ["--requirement", lock, "--dest", shelf / "wheels"]
    run([*words, "--only-binary=:all:", *_for_debian(), *where], doing="fetch the host's wheels")
    write(mark, "")


def _pip() -> list[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = path_of("pip3")
    if found is None:
        raise MissingError("pip is not installed", next_step="apt-get install python3-pip")
    return [found]


def _for_debian() -> list[str]:
    """What Debian 12's Python 3.11 takes; the pip that fetches may belong to another one."""
    tags = [f"--platform={name}_{platform.machine()}" for name in _PLATFORMS]
    return ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3",
            "--abi=none", *tags]  # fmt: skip
