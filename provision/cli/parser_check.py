"""The commands that say what is wrong, and what to do about it."""

from __future__ import annotations

import argparse
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


def check_flags(check: Parser) -> None:
    """What `check` may be told."""
    check.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="SECONDS",
        help="how long to wait for a connection and the first answer (5)",
    )  # fmt: skip
    check.add_argument("--size", metavar="SIZE", help="also send an artifact this large, as 1GiB")
    check.add_argument(
        "--fix", action="store_true",
        help="mend what provision up mends on this machine, and look again",
    )  # fmt: skip
    check.add_argument(
        "--client", action="store_true",
        help="look at this machine instead: its variables, files and MLflow, and its own server",
    )  # fmt: skip
    check.add_argument(
        "--print-script", action="store_true",
        help="with --client: print that as one file, which needs Python 3.8 alone",
    )  # fmt: skip


def status_flags(status: Parser) -> None:
    """How `status` may look."""
    status.add_argument(
        "--watch", nargs="?", type=_seconds, const=10.0, metavar="SECONDS",
        help="show it again every so many seconds (10), until interrupted",
    )  # fmt: skip
    status.add_argument(
        "--drift", action="store_true",
        help="on AWS: also let Terraform compare; exit code 3 when something differs",
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds (up to 3600)")
    return seconds
