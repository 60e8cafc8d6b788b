"""`down`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from provision.cli import texts
from provision.cli.context import open_stack
from provision.cli.life import approval
from provision.errors import UsageError
from provision.model.usage import Usage, sentences
from provision.targets.base import DownOptions, Holding
from provision.ui import Ui
from provision.wiring import IN_AN_ACCOUNT, OpenedStack

_FOR_ACCOUNTS = {
    "by_tag": "--by-tag", "of_run": "--run", "lift_protection": "--lift-protection",
    "delete_backups": "--delete-backups", "receipt": "--receipt",
}  # fmt: skip


def down(arguments: Namespace, ui: Ui) -> int:
    """Stop it; with `--delete-data` ask first, naming what goes."""
    stack = open_stack(arguments)
    _require_fitting(arguments, stack)

    def confirm(items: Sequence[Holding], usage: Usage | None) -> None:
        if arguments.yes:
            return
        told = [*(sentences(usage) if usage else ()), "This deletes for good:"]
        what = "\n".join([*told, texts.holdings(items)])
        ui.require_typed(what, stack.spec.name, "--yes")

    options = _options(arguments, ui, stack.spec.name)
    archive, receipt = (_path(text) for text in (arguments.archive, arguments.receipt))
    result = stack.down(options, confirm=confirm, progress=ui, archive=archive, receipt=receipt)
    ui.result("down", result, texts.down(result))
    return 0


def _options(arguments: Namespace, ui: Ui, name: str) -> DownOptions:
    return DownOptions(
        delete_data=arguments.delete_data,
        approve=approval(ui, name, agreed=arguments.yes),
        by_tag=arguments.by_tag,
        run=arguments.of_run or "",
        lift_protection=arguments.lift_protection,
        delete_backups=arguments.delete_backups,
    )


def _require_fitting(arguments: Namespace, stack: OpenedStack) -> None:
    if stack.spec.target not in IN_AN_ACCOUNT:
        for name, flag in _FOR_ACCOUNTS.items():
            if getattr(arguments, name):
                raise UsageError(
                    f"{flag} is for target: aws, and {stack.spec.name} has target: "
                    f"{stack.spec.target}",
                    next_step="leave it out",
                )
    if arguments.of_run and not arguments.by_tag:
        raise UsageError("--run goes with --by-tag", next_step="add --by-tag, or leave it out")


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None
