"""`env`, `open` and `logs`: the commands that look at a stack from outside."""

from __future__ import annotations

import webbrowser
from argparse import Namespace
from pathlib import Path

from provision.adapters import workspace
from provision.app.env import env as render_env
from provision.cli import remote_logs
from provision.cli.context import open_stack
from provision.errors import MissingError, UsageError
from provision.model.endpoint import Endpoint
from provision.model.secrets import Secret
from provision.ui import Ui
from provision.wiring import OpenedStack


def env(arguments: Namespace, ui: Ui) -> int:
    """Print what points a client at the server, in the user's own style."""
    stack = open_stack(arguments)
    style = arguments.format or ("json" if arguments.json else stack.shell)
    endpoint = endpoint_of(stack, arguments)
    ui.line(render_env(endpoint, style, _password(endpoint, arguments.show_password)).rstrip("\n"))
    return 0


def endpoint_of(stack: OpenedStack, arguments: Namespace) -> Endpoint:
    """The stack's endpoint, or the one at the end of a tunnel (`--tunnel`)."""
    if arguments.tunnel is None:
        return stack.require_endpoint()
    return stack.through_tunnel(arguments.tunnel)


def _password(endpoint: Endpoint, wanted: bool) -> Secret | None:
    if not wanted or endpoint.credentials is None:
        return None
    return workspace.read_secret(endpoint.credentials.password_file)


def open_ui_page(arguments: Namespace, ui: Ui) -> int:
    """Open MLflow's UI in the browser, or say where it is."""
    endpoint = endpoint_of(open_stack(arguments), arguments)
    if not endpoint.has_server:
        raise MissingError(
            "there is no server on this rung, and so no UI",
            next_step="set scenario: server in provision.yaml, then provision up; the runs stay",
        )
    _explain_authority(endpoint, ui)
    opened = not arguments.print and not arguments.json and webbrowser.open(endpoint.uri)
    ui.result("open", {"uri": endpoint.uri, "opened": opened}, endpoint.uri)
    return 0


def _explain_authority(endpoint: Endpoint, ui: Ui) -> None:
    """A browser warns of an authority that it has never heard of: say which one is right."""
    if endpoint.ca_file is not None:
        ui.note(
            "your browser will warn of an unknown authority: it is the server's own. To be sure "
            f"of it, import {endpoint.ca_file} into the browser (Settings, Certificates, "
            "Authorities) instead of clicking the warning away"
        )
        if endpoint.credentials is not None:
            ui.note(
                f"log in as {endpoint.credentials.username}, with the password in "
                f"{endpoint.credentials.password_file}"
            )


def logs(arguments: Namespace, ui: Ui) -> int:
    """Show the last lines of a log, and go on with `--follow`."""
    stack = open_stack(arguments)
    from provision import wiring_compose  # noqa: PLC0415 - loads the Compose rung

    foreign = wiring_compose.foreign_logs(stack)
    if foreign is not None:
        return remote_logs.show(foreign, arguments, ui)
    name, path = _log(stack, arguments.which)
    if not path.exists() and not arguments.follow:
        raise MissingError(
            f"the log named {name} was never written",
            next_step="provision status shows what there is; provision up starts it",
        )
    lines = workspace.tail(path, max(arguments.lines, 0))
    if arguments.json:
        ui.result("logs", {"log": name, "path": path, "lines": lines}, "")
        return 0
    for line in lines:
        ui.line(line)
    if arguments.follow:
        for line in workspace.follow(path):
            ui.line(line)
    return 0


def _log(stack: OpenedStack, which: str | None) -> tuple[str, Path]:
    files = stack.target.logs()
    if not files:
        raise MissingError(
            "there is no server on this rung, and so no log",
            next_step="provision status shows what there is",
        )
    name = which or next(iter(files))
    if name not in files:
        raise UsageError(
            f"there is no log named {name}", next_step=f"choose one of: {', '.join(files)}"
        )
    return name, files[name]
