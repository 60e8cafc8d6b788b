"""What every group of the command line is made of. Commands are imported when they are run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from provision.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    Subparsers = argparse._SubParsersAction["Parser"]

Runner = Callable[[argparse.Namespace, object], int]


class Parser(argparse.ArgumentParser):
    """argparse, but an error in a command's arguments says which help shows the right ones."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print it at once: a closed pipe shows here and not in Python's last flush."""
        super().print_help(file)
        sys.stdout.flush()

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message, next_step=f"{self.prog} --help")


def lazy(module: str, function: str) -> Runner:
    """A command that is imported when it is called: `--help` stays as fast as Python itself."""

    def run(arguments: argparse.Namespace, ui: object) -> int:
        command: Runner = getattr(import_module(f"provision.cli.{module}"), function)
        return command(arguments, ui)

    return run


def common_options() -> Parser:
    """The options of every command."""
    common = Parser(add_help=False)
    group = common.add_argument_group("everywhere")
    group.add_argument("-f", "--file", metavar="FILE", help="the spec (default: provision.yaml)")
    group.add_argument("--state-dir", metavar="DIR", help="where stacks keep their data")
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    group.add_argument("--no-color", action="store_true", help="no colour, terminal or not")
    group.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    return common


class Adder:
    """Adds commands to one group of the command line."""

    def __init__(self, commands: Subparsers, common: Parser) -> None:
        self._commands = commands
        self._common = common

    def __call__(self, name: str, runner: Runner, text: str, *examples: str) -> Parser:
        """Add the command `name`, which `runner` runs; `text` says what it does."""
        epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples)
        parser = self._commands.add_parser(
            name,
            help=text,
            description=text[:1].upper() + text[1:] + ".",
            epilog=epilog,
            parents=[self._common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=runner)
        return parser
