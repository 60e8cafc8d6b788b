"""`status`: how the stack is, or, with `--offline`, how it was recorded."""

from __future__ import annotations

import time
from argparse import Namespace

from provision.cli import status_texts
from provision.model.status import State, StatusResult
from provision.settings import read_settings
from provision.ui import Ui


def status(arguments: Namespace, ui: Ui) -> int:
    """Show the stack, once or again and again (`--watch`).

    Exit code 1 when it should run and cannot, 6 when it runs and does not work, 3 for drift.
    """
    while True:
        result = _recorded(arguments) if arguments.offline else _looked_at(arguments, ui)
        if arguments.watch:
            ui.fresh_screen()
        ui.result("status", result, status_texts.status(result, ui.paint))
        if not arguments.watch:
            return _code(result)
        time.sleep(arguments.watch)


def _code(result: StatusResult) -> int:
    if result.state is State.FAILED:
        return 1
    if any(finding.outcome == "failed" for finding in result.attention):
        return 6
    return 3 if result.drift else 0


def _recorded(arguments: Namespace) -> StatusResult:
    from provision.offline import offline_status  # noqa: PLC0415 - each way loads only its own

    return offline_status(read_settings(arguments.file, arguments.state_dir))


def _looked_at(arguments: Namespace, ui: Ui) -> StatusResult:
    from provision.app.standing import noticed  # noqa: PLC0415 - each way loads only its own
    from provision.looking import known_holes, known_status, last_audit_of  # noqa: PLC0415

    settings = read_settings(arguments.file, arguments.state_dir)
    seen, drift = None if arguments.drift else known_status(settings), None
    if seen is None:
        from provision.cli.context import open_stack  # noqa: PLC0415 - loads pydantic and YAML

        stack = open_stack(arguments)
        seen, drift = stack.status(), stack.drift(ui) if arguments.drift else None
    return noticed(seen, last_audit_of(settings, seen), known_holes(), drift)
