"""The command line for time: pause, resume, extend."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def time_commands(commands: Subparsers, common: Parser) -> None:
    """Add pause, resume and extend."""
    add = Adder(commands, common)
    add(
        "pause", lazy("power", "pause"),
        "target aws: switch machine and database off until resume; all data stays",
        "provision pause", "provision pause --json",
    )  # fmt: skip
    add(
        "resume", lazy("power", "resume"),
        "target aws: switch both on, wait until a client really works",
        "provision resume", "provision resume --json",
    )  # fmt: skip
    extend = add(
        "extend", lazy("power", "extend"), "give the stack a later last day",
        "provision extend 2027-01-31", "provision extend 2027-01-31 --yes",
    )  # fmt: skip
    extend.add_argument("day", type=_day, metavar="DATE", help="the new last day, as YYYY-MM-DD")
    extend.add_argument("--yes", action="store_true", help="do not ask before AWS is told")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a day such as 2027-01-31") from None
