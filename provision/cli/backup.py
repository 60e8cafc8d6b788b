"""`backup`, and `restore --from-backup`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from provision import wiring_backups
from provision.cli import backup_texts
from provision.cli.context import open_stack
from provision.errors import UsageError
from provision.model.backups import Backup
from provision.ui import Ui
from provision.wiring import OpenedStack


def backup(arguments: Namespace, ui: Ui) -> int:
    """Make one, or list or delete those that there are."""
    stack = open_stack(arguments)
    if arguments.list:
        found = wiring_backups.listed(stack, ui)
        ui.result("backups", found, backup_texts.listed(found))
    elif arguments.delete:
        agreed = _agreed(arguments, stack, ui, backup_texts.deletes)
        result = wiring_backups.delete(stack, arguments.delete, agreed, ui)
        ui.result("backup", result, backup_texts.deleted(result))
    else:
        result = wiring_backups.make(stack, arguments.name, ui)
        ui.result("backup", result, backup_texts.made(result))
    return 0


def restore(arguments: Namespace, ui: Ui) -> int:
    """Bring the stack back to a backup of its own."""
    if arguments.folder:
        raise UsageError(
            "a folder and --from-backup are two different things to restore",
            next_step="leave one of them out",
        )
    stack = open_stack(arguments)
    agreed = _agreed(arguments, stack, ui, backup_texts.replaces)
    result = wiring_backups.restore(stack, arguments.from_backup, agreed, ui)
    ui.result("rewind", result, backup_texts.restored(result))
    return 0


def _agreed(
    arguments: Namespace, stack: OpenedStack, ui: Ui, words: Callable[[str, Backup], str]
) -> Callable[[Backup], None]:
    def confirm(found: Backup) -> None:
        what = words(stack.spec.name, found)
        if arguments.yes:
            ui.note(what)
        else:
            ui.require_typed(what, stack.spec.name, "--yes")

    return confirm
