"""`serve`: models as services."""

from __future__ import annotations

from argparse import Namespace

from provision.app import serving
from provision.app.serving import ServeResult, ServiceList
from provision.cli.context import open_stack
from provision.cli.status_texts import columns
from provision.errors import UsageError
from provision.model.serving import ModelRef, ServiceState
from provision.ui import Ui


def serve(arguments: Namespace, ui: Ui) -> int:
    """Serve a model, show what is served, or stop one."""
    services = open_stack(arguments).services
    if arguments.list:
        found = ServiceList(services.states())
        ui.result("serve.list", found, _table(found))
    elif arguments.stop:
        stopped = serving.stop(services, arguments.model, ui)
        ui.result("serve.stop", stopped, f"{stopped.model} is not served any more")
    else:
        ref = _required(arguments.model)
        result = serving.serve(services, ref, arguments.port, arguments.memory, ui)
        ui.result("serve", result, _served(result, ui))
    return 0


def _required(model: str | None) -> ModelRef:
    if model is None:
        raise UsageError("which model?", next_step="provision serve models:/NAME@ALIAS")
    return ModelRef.parse(model)


def _served(result: ServeResult, ui: Ui) -> str:
    state = result.service
    word = "is served" if result.changed else "was served already"
    lines = [
        f"{ui.paint('strong', state.model)} {word}: version {state.version}",
        "",
        f"  page           {ui.paint('good', state.uri)}",
        f"  API            {state.uri}/invocations",
    ]
    if state.rejected:
        lines += ["", ui.paint("warn", _rejected(state))]
    return "\n".join(lines)


def _rejected(state: ServiceState) -> str:
    return f"version {state.rejected} was not taken: {state.reason}"


def _table(found: ServiceList) -> str:
    if not found.services:
        return "no model is served: provision serve models:/NAME@ALIAS"
    rows = [("MODEL", "VERSION", "STATE", "ADDRESS", "")]
    for state in found.services:
        note = _rejected(state) if state.rejected else state.reason
        rows.append((state.model, state.version, state.health, state.uri, note))
    return columns(rows)
