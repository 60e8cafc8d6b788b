"""The command line for what a stack holds: archive, backup, restore, move, gc, upgrade."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provision.cli.parts import Adder, Parser, lazy

if TYPE_CHECKING:
    from provision.cli.parts import Subparsers


def data_commands(commands: Subparsers, common: Parser) -> None:
    """Add archive, backup, restore, move, gc and upgrade."""
    add = Adder(commands, common)
    archive = _archive_command(add)
    _backup_command(add)
    restore = add(
        "restore", lazy("data", "restore"), "fill an empty stack from an archive or mlruns folder",
        "provision restore ~/churn-2026", "provision restore ./mlruns -f team.yaml",
        "provision restore --from-backup 20261127-223105",
    )  # fmt: skip
    _restore_flags(restore)
    move = add(
        "move", lazy("data", "move"), "copy everything into another, empty stack",
        "provision move --to team.yaml",
    )  # fmt: skip
    move.add_argument("--to", metavar="SPEC", required=True, help="the other stack's spec")
    for command in (archive, restore, move):
        command.add_argument(
            "--no-users", action="store_true", help="without accounts and permissions"
        )
    for command in (restore, move):
        _mixing_flag(command)
    _gc_command(add)
    _upgrade_command(add)


def _upgrade_command(add: Adder) -> None:
    upgrade = add(
        "upgrade", lazy("upgrade", "upgrade"), "move the server to this version's MLflow, or back",
        "provision upgrade", "provision upgrade --yes",
    )  # fmt: skip
    upgrade.add_argument("--yes", action="store_true", help="do not ask before")


def _archive_command(add: Adder) -> Parser:
    archive = add(
        "archive", lazy("data", "archive"), "write everything into a folder that needs no server",
        "provision archive ~/churn-2026", "provision archive ana --user ana@uni.example",
    )  # fmt: skip
    archive.add_argument("folder", metavar="DIR", help="a new folder, or an unfinished archive")
    archive.add_argument(
        "--user", metavar="NAME", help="only what belongs to this account, for them to keep"
    )
    return archive


def _restore_flags(restore: Parser) -> None:
    restore.add_argument(
        "folder", metavar="DIR", nargs="?", help="an archive, or an old mlruns folder"
    )
    restore.add_argument(
        "--from-backup", metavar="NAME", help="bring this stack back to a backup of its own"
    )
    restore.add_argument("--yes", action="store_true", help="--from-backup: do not ask before")
    restore.add_argument(
        "--changed", action="store_true",
        help="take an archive that somebody went on working with as it is now",
    )  # fmt: skip
    restore.add_argument(
        "--artifacts", metavar="DIR", help="mlruns: the folder behind its served artifacts"
    )


def _backup_command(add: Adder) -> None:
    backup = add(
        "backup", lazy("backup", "backup"), "make a point that this stack can go back to",
        "provision backup", "provision backup before-the-exam", "provision backup --list",
    )  # fmt: skip
    backup.add_argument("name", metavar="NAME", nargs="?", help="its name (default: the time)")
    one = backup.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="show those that there are")
    one.add_argument("--delete", metavar="NAME", help="delete one for good")
    backup.add_argument("--yes", action="store_true", help="--delete: do not ask before")


def _mixing_flag(command: Parser) -> None:
    command.add_argument(
        "--into-existing", action="store_true",
        help="mix it into a stack that holds other things: experiments whose number is taken get "
        "a new one, accounts stay out",
    )  # fmt: skip


def _gc_command(add: Adder) -> None:
    gc = add(
        "gc", lazy("data", "gc"), "delete for good what was deleted in MLflow, and lost artifacts",
        "provision gc", "provision gc --older-than 30d --yes",
    )  # fmt: skip
    gc.add_argument(
        "--older-than", type=_age, default=0, metavar="AGE",
        help="only what was deleted so long ago, such as 30d or 12h",
    )  # fmt: skip
    gc.add_argument("--yes", action="store_true", help="do not ask before deleting")


def _age(text: str) -> int:
    units = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in units:
        raise argparse.ArgumentTypeError(f"{text} is no age such as 30d, 12h or 45m")
    return int(number) * units[unit]
