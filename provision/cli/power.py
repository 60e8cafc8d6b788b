"""`pause`, `resume` and `extend`."""

from __future__ import annotations

from argparse import Namespace

from provision import wiring_time
from provision.app.extend import ExtendResult
from provision.app.power import PauseResult
from provision.cli import texts
from provision.cli.context import open_stack
from provision.cli.life import approval, env_command
from provision.model.paste import paste_line
from provision.settings import read_settings
from provision.ui import Ui


def pause(arguments: Namespace, ui: Ui) -> int:
    """Switch machine and database off until `resume`."""
    result = wiring_time.pause(open_stack(arguments), ui)
    ui.result("pause", result, _paused(result))
    return 0


def _paused(result: PauseResult) -> str:
    lines = [
        f"{result.name} is paused: its machine is off, its database stops by itself now",
        "",
        "  provision resume   brings both back, with everything in them, to the same address",
        f"                     {result.uri}",
        *result.notes,
    ]
    return "\n".join(lines)


def resume(arguments: Namespace, ui: Ui) -> int:
    """Switch both on; exit code 6 when clients cannot use it."""
    stack = open_stack(arguments)
    command = env_command(arguments)
    result = wiring_time.resume(
        stack, ui, lambda endpoint: paste_line(endpoint, stack.shell, command)
    )
    ui.result("resume", result, texts.up(result, ui.paint))
    return 0


def extend(arguments: Namespace, ui: Ui) -> int:
    """Write a later last day into the spec, and tell AWS."""
    settings = read_settings(arguments.file, arguments.state_dir)
    name = open_stack(arguments).spec.name
    approve = approval(ui, name, agreed=arguments.yes)
    result = wiring_time.extend(settings, arguments.day, approve, ui)
    ui.result("extend", result, _extended(result))
    return 0


def _extended(result: ExtendResult) -> str:
    where = f"{result.file} says so" + (", and AWS knows" if result.told else "")
    return f"the last day of {result.name} is {result.until} instead of {result.before}: {where}"
