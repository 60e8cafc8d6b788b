"""Terraform as these tests run it: on a copy, offline where a mirror is found, away from AWS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.provider import VARIABLE

TERRAFORM = Path(__file__).parents[2] / "terraform"
MODULES = sorted(p.parent.relative_to(TERRAFORM) for p in TERRAFORM.glob("modules/*/main.tf"))
STACKS = sorted(p.parent.relative_to(TERRAFORM) for p in TERRAFORM.glob("stacks/*/main.tf"))
REGION = "eu-west-1"
_NOWHERE = "http://127.0.0.1:9"  # the discard port: whatever is sent through it fails at once


@dataclass(frozen=True)
class Done:
    """How one command of Terraform ended; stdout and stderr are never mixed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Workspace:
    """A copy of all configuration below `folder`, with one of its folders as the root."""

    folder: Path
    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout: int = 900) -> Done:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.root,
            env={**environment(self.folder), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            umask=0o077,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.code == 0, f"terraform {arguments}: {done.out[-6000:]}\n{done.err[-6000:]}"
        return done.out

    def plan(self, variables: dict[str, Any], name: str = "plan") -> dict[str, Any]:
        """The plan as JSON, with the plan file beside it."""
        file = self.folder / f"{name}.tfvars.json"
        file.write_text(json.dumps(variables), encoding="utf-8")
        out = self.folder / f"{name}.tfplan"
        self.ok("plan", "-input=false", f"-var-file={file}", f"-out={out}")
        value = json.loads(self.ok("show", "-json", str(out)))
        assert isinstance(value, dict)
        return value


def workspace(folder: Path, root: Path, **environment: str) -> Workspace:
    """Copy the configuration to `folder` and initialise `root` (relative to it) there."""
    shutil.copytree(TERRAFORM, folder / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    made = Workspace(folder, folder / "terraform" / root, environment)
    made.ok("init", "-input=false", "-backend=false")
    return made


def environment(folder: Path) -> dict[str, str]:
    """What Terraform gets to see: nothing of the user's AWS settings, and no way out."""
    closed = {"HTTPS_PROXY": _NOWHERE, "HTTP_PROXY": _NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TF_CLI_CONFIG_FILE": str(_cli_configuration(folder)),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "GOGC": "400",  # a third less CPU for a third more memory
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **(closed if mirror() else {}),
        **{name: os.environ[name] for name in (VARIABLE,) if name in os.environ},
    }


def mirror() -> Path | None:
    """The folder laid out as a provider mirror that holds hashicorp/aws, where there is one."""
    return next(_mirrors(), None)


def _mirrors() -> Iterator[Path]:
    roots = [Path.home() / ".terraform.d", Path.home() / ".local/share/terraform"]
    roots += [Path("/usr/local/share"), Path("/usr/share"), Path("/usr/local/lib"), Path("/opt")]
    for root in roots:
        for provider in (*root.glob("*/hashicorp/aws"), *root.glob("*/*/hashicorp/aws")):
            yield provider.parents[2]


def _cli_configuration(folder: Path) -> Path:
    file = folder / "terraform.rc"
    found = mirror()
    place = f"filesystem_mirror {{\n path = {json.dumps(str(found))}\n }}"
    text = f"provider_installation {{\n {place}\n}}\n" if found else ""
    file.write_text(text, encoding="utf-8")
    return file


def resources(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Address -> planned values of every managed resource in a plan's JSON."""
    return {change["address"]: change["change"]["after"] for change in _made(plan)}


def of_type(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The planned resources of one type."""
    return {c["address"]: c["change"]["after"] for c in _made(plan) if c["type"] == kind}


def _made(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Changes of managed resources after which there is something."""
    changes = (c for c in plan["resource_changes"] if c["mode"] == "managed")
    return [c for c in changes if c["change"]["after"] is not None]


def only(plan: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one planned resource of a type."""
    found = of_type(plan, kind)
    assert len(found) == 1, f"{kind}: {sorted(found)}"
    return next(iter(found.values()))


needs_terraform = pytest.mark.needs("terraform")
