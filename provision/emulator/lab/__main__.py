"""`python -m provision.emulator.lab up FOLDER`: a rehearsal by hand; `--help` has the rest.

FOLDER holds an emulated account (`account`) and the lab around it (`lab`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from provision.adapters import workspace
from provision.emulator import client as accounts
from provision.emulator.lab.client import Lab
from provision.errors import ProvisionError
from provision.settings import read_settings


def main(words: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        if words[:1] in (["keep"], ["inside"]):
            return _own(words[0], words[1:])
        arguments = _parser().parse_args(words)
        return int(_COMMANDS[arguments.command](arguments) or 0)
    except ProvisionError as error:
        sys.stderr.write(f"error: {error.message}\nnext step: {error.next_step}\n")
        return error.exit_code


def _own(what: str, words: Sequence[str]) -> int:
    from provision.emulator.lab import supervisor  # noqa: PLC0415

    order = supervisor.Order.read(words)
    (supervisor.keep if what == "keep" else supervisor.inside)(order)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m provision.emulator.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in _HELP.items():
        command = commands.add_parser(name, help=told)
        command.add_argument("folder", type=Path, metavar="FOLDER")
    commands.choices["up"].add_argument("--region", default="eu-west-1")
    commands.choices["run"].add_argument("where", help="a machine's id, `machine`, or `client`")
    commands.choices["run"].add_argument("words", nargs=argparse.REMAINDER)
    commands.choices["do"].add_argument("what", help="cut, mend, rotate, slow_metadata ...")
    commands.choices["do"].add_argument("values", nargs="*", metavar="NAME=VALUE")
    return parser


_HELP = {
    "up": "an emulated account and a lab around it; prints what points a shell at the account",
    "status": "machines, databases and faults, as JSON",
    "run": "a command in a machine: FOLDER machine -- ls /",
    "do": "a fault, or its end: FOLDER cut target=rds how=drop",
    "down": "end both; nothing stays",
    "clean": "remove what a killed one left",
}


def _lab(arguments: argparse.Namespace) -> Lab:
    folder = arguments.folder
    environment = read_settings().environment
    region = getattr(arguments, "region", "")
    return Lab(folder / "lab", folder / "account", environment, region)


def _up(arguments: argparse.Namespace) -> None:
    environment = read_settings().environment
    account = accounts.start(
        arguments.folder / "account", sys.executable, environment, regions=[arguments.region],
        faults=True,
    )  # fmt: skip
    _lab(arguments).up(_say)
    sys.stdout.write("\n".join(account.lines()) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _status(arguments: argparse.Namespace) -> None:
    sys.stdout.write(json.dumps(_lab(arguments).status(), indent=2) + "\n")


def _run(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    done = _lab(arguments).run(arguments.where, words, patience=3600)
    sys.stdout.write(done.out)
    sys.stderr.write(done.err)
    return done.code


def _do(arguments: argparse.Namespace) -> None:
    given = dict(value.split("=", 1) for value in arguments.values)
    numbers = {n: float(v) if v.replace(".", "", 1).isdigit() else v for n, v in given.items()}
    _lab(arguments).ask(arguments.what, **numbers)


def _down(arguments: argparse.Namespace) -> None:
    _lab(arguments).down()
    accounts.stop(arguments.folder / "account")
    workspace.remove_folder(arguments.folder / "account")
    workspace.remove_empty_folder(arguments.folder)


def _clean(arguments: argparse.Namespace) -> None:
    _lab(arguments).clean()


_COMMANDS = {
    "up": _up, "status": _status, "run": _run, "do": _do, "down": _down, "clean": _clean,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
