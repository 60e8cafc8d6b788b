"""The command line for people and money: users, handout, cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def people_commands(commands: Subparsers, common: Parser) -> None:
    """Add users, handout and cost."""
    text = "accounts for people, by name or from a roster"
    users = commands.add_parser(
        "users", help=text, description=text[:1].upper() + text[1:] + "."
    ).add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = Adder(users, common)
    new = add(
        "add", lazy("users", "add"), "add people; their passwords go into files",
        "provision users add ana", "provision users add bo cy --team red",
        "provision users add eve --role guest",
    )  # fmt: skip
    new.add_argument("names", nargs="+", metavar="NAME", help="a user name")
    new.add_argument("--role", default="student", choices=("student", "guest", "staff"))
    new.add_argument("--team", default="", help="the team whose experiment they share")
    add("list", lazy("users", "list_users"), "show everybody", "provision users list --json")
    remove, reset = _named_users(add)
    sync = _sync_command(add)
    for command in (remove, sync):
        command.add_argument("--yes", action="store_true", help="do not ask")
    for command in (new, remove, reset, sync):
        command.add_argument("--passwords", metavar="DIR", help=_PASSWORDS)
    _handout_command(Adder(commands, common))
    _cost_command(Adder(commands, common))


def _named_users(add: Adder) -> tuple[Parser, Parser]:
    remove = add(
        "remove", lazy("users", "remove"), "remove accounts; what they logged stays",
        "provision users remove ana",
    )  # fmt: skip
    reset = add(
        "reset", lazy("users", "reset"), "draw new passwords", "provision users reset ana",
    )  # fmt: skip
    for command in (remove, reset):
        command.add_argument("names", nargs="+", metavar="NAME", help="a user name")
    return remove, reset


def _handout_command(add: Adder) -> None:
    handout = add(
        "handout", lazy("handout", "handout"), "write what each person needs to connect",
        "provision handout handouts", "provision handout handouts --roster class.csv",
        "provision handout handouts --uri http://mlflow.lab.example:5000",
    )  # fmt: skip
    handout.add_argument("folder", metavar="DIR", help="where the folders and zips go")
    handout.add_argument("--roster", metavar="CSV", help="for these people (default: everybody)")
    handout.add_argument("--uri", metavar="URI", help="the address that they use")
    handout.add_argument("--passwords", metavar="DIR", help=_PASSWORDS)


_PASSWORDS = "where passwords are kept (default: people/ in the stack's folder)"


def _sync_command(add: Adder) -> Parser:
    sync = add(
        "sync", lazy("users", "sync"), "make the accounts those of a class list",
        "provision users sync --roster class.csv --plan",
        "provision users sync --roster class.csv",
        "provision users sync --roster class.csv --prune --yes",
    )  # fmt: skip
    sync.add_argument(
        "--roster", required=True, metavar="CSV",
        help="columns: username, name, email, role (student, guest, staff), team",
    )  # fmt: skip
    sync.add_argument("--plan", action="store_true", help="show what it would do, and do nothing")
    sync.add_argument("--prune", action="store_true", help="remove who is not on the roster")
    return sync


def _cost_command(add: Adder) -> None:
    cost = add(
        "cost", lazy("cost", "cost"), "estimate what the stack costs on AWS; show the bill",
        "provision cost", "provision cost --people 120 --days 90 --svg cost.svg",
        "provision cost --roster class.csv --live", "provision cost --actual --json",
    )  # fmt: skip
    cost.add_argument("--people", type=_positive, metavar="N", help="how many share it (1)")
    cost.add_argument("--roster", metavar="CSV", help="as many as are on this class list")
    cost.add_argument(
        "--days", type=_positive, metavar="N",
        help="for how long (default: to lifetime.until, else 30)",
    )  # fmt: skip
    cost.add_argument(
        "--artifacts", type=_amount, default=20.0, metavar="GB", help="models and files (20)"
    )
    cost.add_argument(
        "--data-out", type=_amount, default=20.0, metavar="GB", help="downloads a month (20)"
    )
    cost.add_argument("--svg", metavar="FILE", help="draw it, too")
    cost.add_argument("--live", action="store_true", help="ask AWS for prices of now")
    cost.add_argument("--actual", action="store_true", help="ask AWS for the bill so far")


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return number


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of GB from 0 on")
    return number
