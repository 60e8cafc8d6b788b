"""The commands that look for what is wrong before it hurts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def doctor_commands(commands: Subparsers, common: Parser) -> None:
    """`doctor`."""
    add = Adder(commands, common)
    add(
        "doctor", lazy("doctor", "doctor"), "say what up would stumble over, here and at AWS",
        "provision doctor", "provision doctor --json",
    )  # fmt: skip
