"""Run by the test of the full disk, in a mount namespace of its own: an apply that fills a disk.

Arguments: the folder of the small disk, and the file that the report goes to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provision.errors import ProvisionError
from tests.terraform.door import door, up

# Four resources with 200 KB of state each; the second one fills the disk.
CONFIGURATION = """
variable "text" {
  type = string
}

resource "terraform_data" "first" {
  input = var.text
}

resource "terraform_data" "second" {
  input = "${terraform_data.first.output}."

  provisioner "local-exec" {
    command = "cat /dev/zero > fill || true"
  }
}

resource "terraform_data" "third" {
  input = "${terraform_data.second.output}."
}
"""


def main(disk: Path, report: Path) -> None:
    """Apply, and report the error, the notes, and what the state is afterwards."""
    notes: list[str] = []
    terraform = door(disk / "root", CONFIGURATION, notes)
    failed: dict[str, object] = {}
    try:
        up(terraform, {"text": "x" * 200_000})
    except ProvisionError as error:
        failed = {"message": error.message, "exit_code": error.exit_code}
    state = json.loads((disk / "root/terraform.tfstate").read_bytes())
    mode = (disk / "root/terraform.tfstate").stat().st_mode & 0o777
    (disk / "root/fill").unlink()
    changes = terraform.plan(
        terraform.write_variables({"text": "x" * 200_000}), terraform.root / "plan"
    )
    planned = terraform.show(terraform.root / "plan")["resource_changes"] if changes else []
    found = {
        "error": failed,
        "notes": notes,
        "mode": oct(mode),
        "names": sorted(resource["name"] for resource in state["resources"]),
        "to_create": [c["name"] for c in planned if c["change"]["actions"] == ["create"]],
    }
    report.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
