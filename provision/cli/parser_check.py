"""The commands that say what is wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def check_commands(commands: Subparsers, common: Parser) -> None:
    """`explain`."""
    add = Adder(commands, common)
    explain = add(
        "explain", lazy("explain", "explain"), "say what a finding means and what to do about it",
        "provision explain host.not-allowed", "provision explain tls", "provision explain",
    )  # fmt: skip
    explain.add_argument("id", nargs="?", help="a finding's id, or its layer; without it, all")
