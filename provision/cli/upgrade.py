"""`upgrade`."""

from __future__ import annotations

from argparse import Namespace

from provision import wiring_upgrade
from provision.app.upgrade import UpgradeResult
from provision.cli.context import open_stack
from provision.ui import Ui


def upgrade(arguments: Namespace, ui: Ui) -> int:
    """Ask, migrate a copy, switch, prove."""
    stack = open_stack(arguments)

    def confirm(before: str, new: str) -> None:
        what = (
            f"This moves {stack.spec.name} from MLflow {before} to {new}. The server stands still "
            "while its database is migrated; if clients cannot use the new one, the old one comes "
            "back with its data. Clients should install the new version afterwards."
        )
        if arguments.yes:
            ui.note(what)
        else:
            ui.require_typed(what, stack.spec.name, "--yes")

    result = wiring_upgrade.upgrade(stack, confirm, ui)
    ui.result("upgrade", {**vars(result), "pin": result.pin}, _text(result))
    return 0


def _text(result: UpgradeResult) -> str:
    if not result.changed:
        return f"{result.name} runs MLflow {result.now} already, which this version brings"
    lines = [f"{result.name} runs MLflow {result.now} now, and works for clients"]
    lines += [
        f"  the {name} database was migrated, {facts['rows']:,} rows, none lost"
        for name, facts in result.schemas.items()
    ]
    lines.append(f"  the database as it was: {result.kept}")
    lines.append(f"clients install {result.pin} (provision env and provision handout say so too)")
    return "\n".join(lines)
