"""The commands that look for what is wrong before it hurts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def doctor_commands(commands: Subparsers, common: Parser) -> None:
    """`doctor` and `audit`."""
    add = Adder(commands, common)
    add(
        "doctor", lazy("doctor", "doctor"), "say what up would stumble over, here and at AWS",
        "provision doctor", "provision doctor --json",
    )  # fmt: skip
    audit = add(
        "audit", lazy("audit", "audit"),
        "look for secrets in wrong places, open doors, rights too many, known holes",
        "provision audit", "provision audit --fix", "provision audit --sarif audit.sarif --json",
    )  # fmt: skip
    audit.add_argument(
        "--fix", action="store_true", help="mend what is safe to mend (file modes, doors)"
    )
    audit.add_argument("--sarif", metavar="FILE", help="also write a SARIF 2.1.0 file")
