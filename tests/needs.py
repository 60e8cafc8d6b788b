"""Programs that some tests need: where they are looked for, and what installs them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from provision.adapters.containers import open_project
from provision.emulator.lab import needs as rehearsal
from provision.errors import MissingError

# As the product looks for it: Debian keeps PostgreSQL's server programs off the PATH.
_POSTGRES_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")
_INSTALL = {
    "chromium": "apt-get install chromium",
    "chromedriver": "apt-get install chromium-driver",
    "fish": "apt-get install fish",
    "zsh": "apt-get install zsh",
    "postgres": "apt-get install postgresql",
    "nginx": "apt-get install nginx-light",
    "uv": "make test brings it into the environment; otherwise pip install uv",
    "git": "apt-get install git",
    "make": "apt-get install make",
    "containers": "install Docker Engine with its Compose plugin, and start it",
    "rehearsal": "python -m provision.emulator.lab up FOLDER says what is missing",
    "terraform": "download it from HashiCorp's site",
}
# No distribution packages it, so a new machine cannot be expected to have it.
_SKIPPED_EVEN_IN_CI = {"terraform"}


def which(program: str) -> str | None:
    """Where a program is: on the PATH, or beside the Python that runs the tests."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(program) or shutil.which(program, path=beside)


def found(program: str) -> bool:
    """Whether a program is here; `postgres` stands for PostgreSQL's server programs.

    `rehearsal` stands for all that booting a machine takes, privileges included, `containers` for
    an engine that answers.
    """
    if program == "rehearsal":
        return _can_rehearse()
    if program == "containers":
        return _has_engine()
    if program != "postgres":
        return which(program) is not None
    folders = (folder for pattern in _POSTGRES_FOLDERS for folder in Path("/").glob(pattern))
    return shutil.which("initdb") is not None or any((f / "initdb").exists() for f in folders)


def _can_rehearse() -> bool:
    try:
        rehearsal.require()
    except MissingError:
        return False
    return True


def _has_engine() -> bool:
    try:
        open_project(Path(), os.environ)
    except MissingError:
        return False
    return True


def insist(program: str) -> None:
    """End the test that runs now when `program` is missing: skipped here, failed in CI."""
    if found(program):
        return
    reason = f"{program} is not installed: {_INSTALL.get(program, f'install {program}')}"
    if program in _SKIPPED_EVEN_IN_CI:
        pytest.skip(f"{reason} (skipped in CI too: no package of the system brings it)")
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, where nothing may be left out)", pytrace=False)
    pytest.skip(reason)


def programs_of(item: pytest.Item) -> list[str]:
    """What the test's `needs` markers name."""
    return [str(name) for marker in item.iter_markers("needs") for name in marker.args]
