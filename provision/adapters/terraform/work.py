"""How a command is run and listened to: events, diagnostics, interruption, the watch."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from provision.adapters.terraform.commands import Commands, Listeners
from provision.adapters.terraform.running import Done
from provision.adapters.terraform.watch import Watch, Watching
from provision.errors import ProvisionError, UserInterruptError
from provision.model.terraform_events import Diagnostic, Event, ResourceEvent, parse

OnEvent = Callable[[Event], None]
Note = Callable[[str], None]
_CHANGES = frozenset({"create", "update", "delete", "replace"})
_KEPT_LINES = 400


@dataclass
class Heard:
    """What a command said: errors and warnings, its stderr, what it did, an unsaved state."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    begun: dict[str, str] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    emergency_state: dict[str, Any] | None = None

    @property
    def printed(self) -> str:
        """What it wrote to stderr, without the provider's log."""
        return "\n".join(self.lines)

    def event(self, event: Event) -> None:
        """Take notice of an event."""
        if isinstance(event, Diagnostic):
            self.diagnostics.append(event)
        elif isinstance(event, ResourceEvent) and event.action in _CHANGES:
            self._change(event)

    def _change(self, event: ResourceEvent) -> None:
        if event.kind == "started":
            self.begun[event.address] = event.action
        elif event.kind == "done":
            self.begun.pop(event.address, None)
            self.finished.append(event.address)

    def left(self) -> str:
        """In words: what is done, and what was begun and is not."""
        done = len(self.finished)
        text = f"{done} change{'' if done == 1 else 's'} done and recorded in the state"
        if self.begun:
            text += f"; not finished: {', '.join(sorted(self.begun))}"
        return text


class Work:
    """Runs commands, quietly for their answer, or listening to what they tell meanwhile."""

    def __init__(self, commands: Commands, note: Note) -> None:
        self._commands = commands
        self._note = note

    def quietly(self, command: Callable[[Commands], Done], doing: str) -> Done:
        """Run a command for its answer. Raises `UserInterruptError` when the user stopped it."""
        done = command(self._commands)
        if done.interrupted:
            raise UserInterruptError(
                f"interrupted while Terraform was to {doing}; nothing was changed",
                next_step="run the same command again",
            )
        _require_alive(done, doing, Heard())
        return done

    def listening(
        self,
        command: Callable[[Commands, dict[str, Any]], Done],
        doing: str,
        on_event: OnEvent | None,
        watch: Watch | None,
        heard: Heard | None = None,
    ) -> tuple[Done, Heard]:
        """Run a command with `-json` and pass its events on.

        Raises `UserInterruptError` when the user stopped it, and the watch's `ProvisionError` when
        the watch did; both say what is left.
        """
        heard = heard or Heard()
        watching = Watching(watch)
        ears = Listeners(
            line=lambda line: _line(line, heard, watching, on_event),
            error=lambda line: _error(line, heard, watching),
            tick=watching.verdict if watch else None,
            signal=self._on_signal,
        )
        done = command(self._commands, {"listeners": ears, "environment": watching.environment})
        if done.interrupted:
            raise _interrupted(doing, heard)
        if done.stopped:
            left = f"stopped: {done.stopped}; {heard.left()}"
            raise watching.kind(left, next_step=watching.next_step)
        _require_alive(done, doing, heard)
        return done, heard

    def _on_signal(self, times: int) -> None:
        self._note(
            "stopping: Terraform finishes what it has begun and saves the state"
            if times == 1
            else "still stopping; leaving now would lose the state of what was begun"
        )


def _line(line: str, heard: Heard, watching: Watching, on_event: OnEvent | None) -> None:
    event = parse(line)
    if event is None:
        heard.emergency_state = _emergency_state(line) or heard.emergency_state
        return
    heard.event(event)
    watching.event(event)
    if on_event is not None:
        on_event(event)


def _error(line: str, heard: Heard, watching: Watching) -> None:
    """The provider's log goes to the watch and nowhere else; the rest is Terraform's own."""
    if not watching.takes(line):
        heard.lines.append(line)
        del heard.lines[:-_KEPT_LINES]


def _emergency_state(line: str) -> dict[str, Any] | None:
    """The state, when Terraform could save it nowhere else than on stdout ("state dump")."""
    if '"lineage"' not in line:
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    state = value.get("state") if isinstance(value, dict) else None
    return state if isinstance(state, dict) else None


def _require_alive(done: Done, doing: str, heard: Heard) -> None:
    """Raises `ProvisionError` for a Terraform that was ended from outside and could say nothing."""
    if done.code >= 0:
        return
    raise ProvisionError(
        f"Terraform was killed ({signal.Signals(-done.code).name}) while it was to {doing}; "
        f"{heard.left()}",
        next_step="see that memory is not short (the kernel kills the largest program; the AWS "
        "provider takes up to 1 GB), then provision up to go on: what exists is taken up; or "
        "provision down to remove it all",
    )


def _interrupted(doing: str, heard: Heard) -> UserInterruptError:
    if doing == "plan":
        return UserInterruptError(
            "interrupted while planning; nothing was changed",
            next_step="run the same command again",
        )
    return UserInterruptError(
        f"interrupted; {heard.left()}",
        next_step="run the same command again to go on, or provision down to remove it all",
    )
