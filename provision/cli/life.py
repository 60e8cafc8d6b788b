"""`plan`, `up` and `list`."""

from __future__ import annotations

import shlex
import shutil
import sys
from argparse import Namespace
from pathlib import Path

from provision import wiring
from provision.app import lifecycle
from provision.cli import texts
from provision.cli.context import open_stack
from provision.errors import UsageError
from provision.model.paste import paste_line
from provision.model.plan_words import PlanWords
from provision.settings import python_executable, read_settings
from provision.targets.base import Approve, UpOptions
from provision.ui import Ui

_PENDING = 3


def up(arguments: Namespace, ui: Ui) -> int:
    """Bring the server up; exit code 6 when clients cannot use it."""
    stack = _open_for(arguments)
    options = _up_options(arguments, ui, stack.spec.name)
    if arguments.render_only:
        return _render(stack, options, ui)
    command = env_command(arguments)
    result = lifecycle.up(
        stack.target,
        options,
        stack.check,
        ui,
        paste=lambda endpoint: paste_line(endpoint, stack.shell, command),
    )
    stack.remember(result.uri)
    if result.serving:
        for note in result.notes:
            ui.note(note)
    ui.result("up", result, texts.up(result, ui.paint))
    return 0


def _render(stack: wiring.OpenedStack, options: UpOptions, ui: Ui) -> int:
    from provision import wiring_compose  # noqa: PLC0415 - loads what this rung alone needs

    result = wiring_compose.composed(stack).render(options, ui)
    ui.result("render", result, texts.rendered(result))
    return 0


def _open_for(arguments: Namespace) -> wiring.OpenedStack:
    stack = open_stack(arguments)
    if arguments.emulated and stack.spec.target != "aws":
        raise UsageError(
            f"--emulated is for target: aws, and {stack.spec.name} has target: {stack.spec.target}",
            next_step="leave it out, or set target: aws in the spec",
        )
    return stack


def _up_options(arguments: Namespace, ui: Ui, name: str) -> UpOptions:
    return UpOptions(
        arguments.port,
        arguments.upgrade_database,
        arguments.emulated,
        approve=approval(ui, name, agreed=arguments.yes),
        allowed=frozenset(arguments.replace),
        unasked=arguments.unasked,
    )


def plan(arguments: Namespace, ui: Ui) -> int:
    """Show what `up` would change; exit code 3 when that is something."""
    stack = _open_for(arguments)
    options = UpOptions(emulated=arguments.emulated)
    result = lifecycle.plan(stack.target, stack.spec.name, options, ui)
    ui.result("plan", result, texts.plan(result, ui.paint))
    return _PENDING if result.changes else 0


def approval(ui: Ui, name: str, *, agreed: bool) -> Approve:
    """Show a plan, and go on when the user types the stack's name (or said `--yes`)."""

    def approve(words: PlanWords) -> None:
        ui.note(str(words))
        if not agreed:
            what = str(words) if ui.quiet else "This changes the account above"
            ui.require_typed(what, name, "--yes")

    return approve


def env_command(arguments: Namespace) -> str:
    """`provision env` as this user would have to type it, from any folder."""
    words = [*_program(), "env"]
    spec_file = read_settings(arguments.file).spec_file
    if arguments.file or spec_file.exists():
        words += ["--file", str(spec_file)]
    if arguments.state_dir:
        words += ["--state-dir", str(Path(arguments.state_dir).absolute())]
    return shlex.join(words)


def _program() -> list[str]:
    if shutil.which("provision") is not None:
        return ["provision"]
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return [python_executable(), "-m", "provision"]
    return [str(path.absolute())]


def list_stacks(arguments: Namespace, ui: Ui) -> int:
    """Show all stacks of this user."""
    result = wiring.list_stacks(read_settings(arguments.file, arguments.state_dir))
    ui.result("list", result, texts.stack_list(result))
    return 0
