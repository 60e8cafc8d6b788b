"""`logs` of a server whose logs are no files here: in an account, or with a container engine."""

from __future__ import annotations

import time
from argparse import Namespace

from provision.errors import UsageError
from provision.targets.base import Logs
from provision.ui import Ui

_EVERY_SECONDS = 5.0
_MOST = 400


def show(remote: Logs, arguments: Namespace, ui: Ui) -> int:
    """Show the last lines of one of its logs; with `--follow` look again and again."""
    name = _name(remote, arguments.which)
    lines = remote.log(name, max(arguments.lines, 0))
    if arguments.json:
        ui.result("logs", {"log": name, "path": None, "lines": lines}, "")
        return 0
    for line in lines:
        ui.line(line)
    while arguments.follow:
        time.sleep(_EVERY_SECONDS)
        seen, lines = lines, remote.log(name, _MOST)
        for line in _new(seen, lines):
            ui.line(line)
    return 0


def _name(remote: Logs, which: str | None) -> str:
    names = remote.log_names()
    if which is not None and which not in names:
        raise UsageError(
            f"there is no log named {which}", next_step=f"choose one of: {', '.join(names)}"
        )
    return which or names[0]


def _new(seen: list[str], lines: list[str]) -> list[str]:
    """The lines behind the end of those that were seen; all, where nothing fits."""
    for start in range(len(lines), 0, -1):
        tail = lines[max(0, start - len(seen)) : start]
        if tail and tail == seen[-len(tail) :]:
            return lines[start:]
    return lines
