"""Reading the server's boot report, and waiting for it to say that requests are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from provision.adapters import workspace
from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.layout import Layout
from provision.targets.base import Progress

_POLL_SECONDS = 0.05
_SILENCE_SECONDS = 300.0
_PHASES = {
    "import": "loading MLflow",
    "database": "opening the backend store",
    "auth": "preparing users",
    "serve": "starting the workers",
}
# The server's own error codes, by the class of error that the user meets.
_REFUSED = ("database-older", "database-newer", "database-foreign", "database-damaged")
_MISSING = ("disk-full", "not-writable", "database-unreachable", "port-taken")


class BootState(StrEnum):
    """How far the server has come."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class BootView:
    """A boot report as far as others need it."""

    state: BootState
    phase: str = ""
    code: str = ""
    message: str = ""
    next_step: str = ""


def read(path: Path) -> BootView:
    """The report in `path`; a missing one means that the server has not come to write it yet."""
    value = workspace.read_json(path)
    if value is None:
        return BootView(BootState.STARTING, "starting the server")
    phases = value.get("phases") or [{"name": ""}]
    name = str(phases[-1].get("name", ""))
    error = value.get("error") or {}
    return BootView(
        state=BootState(value.get("state", "starting")),
        phase=_PHASES.get(name, name),
        code=str(error.get("code", "")),
        message=str(error.get("message", "")),
        next_step=str(error.get("next_step", "")),
    )


def wait_until_ready(layout: Layout, progress: Progress, alive: Callable[[], bool]) -> None:
    """Follow the boot report until the server is ready.

    Raises what the report says, or, when the supervisor has ended or nothing moves for five
    minutes, an error with the last lines of the log.
    """
    view = read(layout.boot_report)
    while view.state is BootState.STARTING:
        with progress.step(view.phase):
            view = _next(layout, view, alive)
    if view.state is BootState.FAILED:
        raise _failure(view)


def _next(layout: Layout, before: BootView, alive: Callable[[], bool]) -> BootView:
    deadline = time.monotonic() + _SILENCE_SECONDS
    looks = 0
    while time.monotonic() < deadline:
        view = read(layout.boot_report)
        if view != before:
            return view
        looks += 1
        if looks % 20 == 0 and not alive():
            break
        time.sleep(_POLL_SECONDS)
    raise _silent(layout)


def _failure(view: BootView) -> ProvisionError:
    kind: type[ProvisionError] = ProvisionError
    if view.code in _REFUSED:
        kind = RefusedError
    elif view.code in _MISSING:
        kind = MissingError
    return kind(view.message, next_step=view.next_step)


def _silent(layout: Layout) -> ProvisionError:
    last = [
        line
        for name in ("supervisor", "server")
        for line in workspace.tail(layout.logs / f"{name}.log", 3)
    ]
    return ProvisionError(
        "the server did not come up; the last lines of its logs:\n  " + "\n  ".join(last),
        next_step="provision logs shows more; provision up tries again",
    )
