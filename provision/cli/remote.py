"""`repair`, `tunnel` and `ssh`: what is done to a server's machine that is somewhere else."""

from __future__ import annotations

import sys
from argparse import Namespace

from provision import wiring
from provision.cli import texts
from provision.cli.context import open_stack
from provision.errors import UsageError
from provision.model.paste import paste_line
from provision.ui import Ui


def repair(arguments: Namespace, ui: Ui) -> int:
    """Let the machine do all its work again, and say what that changed."""
    stack = open_stack(arguments)
    result = stack.require_remote().repair(ui)
    ui.result("repair", result, texts.repaired(stack.spec.name, result))
    return 0


def tunnel(arguments: Namespace, ui: Ui) -> int:
    """Lead a port of this machine to the server, until Ctrl-C."""
    stack = open_stack(arguments)
    plugin = stack.require_plugin()
    endpoint = stack.through_tunnel(arguments.port)
    wiring.require_free(arguments.port)
    session = stack.require_remote().tunnel(arguments.port)
    command = f"provision env --tunnel {arguments.port}"
    ui.note(f"{endpoint.uri} leads to {stack.spec.name} while this runs (Ctrl-C ends it)")
    ui.note(f"in another shell: {paste_line(endpoint, stack.shell, command)}")
    return plugin.run(session)


def ssh(arguments: Namespace, ui: Ui) -> int:
    """A shell on the machine, or one command with its exit code."""
    stack = open_stack(arguments)
    if arguments.command:
        return _run(stack, arguments.command, ui)
    if arguments.json:
        raise UsageError("a shell has no JSON", next_step="provision ssh --json -- COMMAND")
    plugin = stack.require_plugin()
    return plugin.run(stack.require_remote().shell())


def _run(stack: wiring.OpenedStack, command: list[str], ui: Ui) -> int:
    ran = stack.require_remote().run(command)
    if ui.as_json:
        ui.result("ssh", ran, "")
    else:
        sys.stdout.write(ran.out)
        sys.stderr.write(ran.err)
    return ran.code
