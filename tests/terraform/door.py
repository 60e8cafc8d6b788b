"""The door to Terraform on small configurations, as its tests use it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.program import find_program

SECRET = "hunter2-canary"
# No provider at all: `terraform_data` is part of Terraform, so that a plan takes 0.1 s.
SLOW = """
variable "seconds" {
  type = number
}

variable "password" {
  type      = string
  sensitive = true
  default   = ""
}

resource "terraform_data" "quick" {
  input = 1
}

resource "terraform_data" "slow" {
  input = terraform_data.quick.output

  provisioner "local-exec" {
    command = "touch started && sleep ${var.seconds}"
  }
}

output "endpoint" {
  value = "http://198.51.100.7"
}

output "password" {
  value     = var.password
  sensitive = true
}
"""


def user_environment(folder: Path, **more: str) -> dict[str, str]:
    """What a user's shell would say, with nothing of this machine's AWS or Terraform settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **more}


def door(root: Path, configuration: str, notes: list[str] | None = None, **more: str) -> Terraform:
    """A door to a root module with this configuration, initialised."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "main.tf").write_text(textwrap.dedent(configuration), encoding="utf-8")
    environment = user_environment(root.parent, **more)
    on_note = None if notes is None else notes.append
    made = Terraform(find_program(environment), root, environment, on_note=on_note)
    made.init()
    return made


def up(made: Terraform, values: Mapping[str, Any] | None = None) -> None:
    """Plan and apply."""
    made.plan(made.write_variables(values or {}), made.root / "plan")
    made.apply(made.root / "plan")
