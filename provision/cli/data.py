"""`archive`, `restore`, `move` and `gc`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from provision import wiring, wiring_data
from provision.app.data import GcResult, RestoreOptions
from provision.cli import backup, data_texts
from provision.cli.context import open_stack
from provision.errors import MissingError, UsageError
from provision.settings import read_settings
from provision.ui import Ui


def archive(arguments: Namespace, ui: Ui) -> int:
    """Write everything, or what belongs to one person, into a folder."""
    stack, user = open_stack(arguments), arguments.user or ""
    folder, users = folder_of(arguments.folder), not arguments.no_users
    result = wiring_data.archive(stack, folder, ui, users=users, user=user)
    ui.result("archive", result, data_texts.archived(result, user))
    return 0


def folder_of(text: str) -> Path:
    """A folder as the command line names it."""
    return Path(text).expanduser().absolute()


def restore(arguments: Namespace, ui: Ui) -> int:
    """Fill a stack, an empty one unless told otherwise, or bring one back to a backup."""
    if arguments.from_backup:
        return backup.restore(arguments, ui)
    stack = open_stack(arguments)
    if not arguments.folder:
        raise UsageError(
            "restore what?",
            next_step="name an archive's folder, or a backup: provision restore --from-backup NAME",
        )
    folder = folder_of(arguments.folder)
    if not folder.is_dir():
        raise MissingError(
            f"{folder} is not a folder",
            next_step="name the folder that provision archive wrote, or an mlruns folder",
        )
    artifacts = folder_of(arguments.artifacts) if arguments.artifacts else None
    options = RestoreOptions(
        not arguments.no_users, arguments.changed, artifacts, arguments.into_existing
    )
    result = wiring_data.restore(stack, folder, options, ui)
    ui.result("restore", result, data_texts.restored(result))
    return 0


def move(arguments: Namespace, ui: Ui) -> int:
    """Copy everything into another stack."""
    stack = open_stack(arguments)
    other = wiring.open_stack(read_settings(arguments.to, arguments.state_dir))
    result = wiring_data.move(
        stack, other, ui, users=not arguments.no_users, into_existing=arguments.into_existing
    )
    ui.result("move", result, data_texts.moved(result, stack.spec.name))
    return 0


def gc(arguments: Namespace, ui: Ui) -> int:
    """Show what goes, ask, delete it."""
    stack = open_stack(arguments)

    def confirm(found: GcResult) -> None:
        what = f"This deletes for good:\n{data_texts.trash(found)}"
        if arguments.yes:
            ui.note(what)
        else:
            ui.require_typed(what, stack.spec.name, "--yes")

    result = wiring_data.gc(stack, arguments.older_than, confirm=confirm, progress=ui)
    ui.result("gc", result, data_texts.collected(result))
    return 0
