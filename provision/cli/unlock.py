"""`unlock`: who holds the lock of a stack's Terraform state, and its removal."""

from __future__ import annotations

from argparse import Namespace

from provision.app.unlock import Holder, said
from provision.cli import texts
from provision.cli.context import open_stack
from provision.ui import Ui

# One that lives is refused before anybody is asked.
_LIVES = {
    False: "that process is gone",
    None: "whether that process still runs cannot be seen from this machine: ask whoever it was",
}


def unlock(arguments: Namespace, ui: Ui) -> int:
    """Show who holds the lock; remove it when asked to, never while that process lives."""
    stack = open_stack(arguments)

    def confirm(holder: Holder) -> None:
        what = f"{stack.spec.name} is locked by {said(holder)}; {_LIVES[holder.lives]}"
        if arguments.yes:
            ui.note(what)
        else:
            ui.require_typed(f"{what}. This removes the lock", stack.spec.name, "--yes")

    result = stack.unlock(confirm=confirm, progress=ui)
    ui.result("unlock", result, texts.unlock(result, ui.paint))
    return 0
