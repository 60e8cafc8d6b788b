"""`status`: how the stack is, or, with `--offline`, how it was recorded."""

from __future__ import annotations

from argparse import Namespace

from provision.cli import status_texts
from provision.model.status import State, StatusResult
from provision.settings import read_settings
from provision.ui import Ui


def status(arguments: Namespace, ui: Ui) -> int:
    """Show the stack; exit code 1 when it should run and cannot."""
    result = _recorded(arguments) if arguments.offline else _looked_at(arguments)
    ui.result("status", result, status_texts.status(result, ui.paint))
    return 1 if result.state is State.FAILED else 0


def _recorded(arguments: Namespace) -> StatusResult:
    from provision.offline import offline_status  # noqa: PLC0415 - each way loads only its own

    return offline_status(read_settings(arguments.file, arguments.state_dir))


def _looked_at(arguments: Namespace) -> StatusResult:
    from provision.looking import known_status  # noqa: PLC0415 - each way loads only its own

    known = known_status(read_settings(arguments.file, arguments.state_dir))
    if known is not None:
        return known
    from provision.cli.context import open_stack  # noqa: PLC0415 - loads pydantic and YAML

    return open_stack(arguments).status()
