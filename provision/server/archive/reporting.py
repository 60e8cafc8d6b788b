"""What the program says while it works: one JSON document per line on stdout.

`progress` events come at most five times a second and carry how far a phase is; `note` is for a
person; the last line is `done` with the result, or `error` with a kind, a message and a next step.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any, TextIO

from provision.errors import ProvisionError

_EVERY_SECONDS = 0.2


class Reporter:
    """Writes events; knows the phase that is under way. May be shared by threads."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._lock = threading.RLock()
        self._phase, self._unit = "", ""
        self._done = self._total = 0
        self._started = self._said = 0.0

    def phase(self, text: str, total: int = 0, unit: str = "") -> None:
        """Begin something that takes `total` units; 0 where nobody knows."""
        self._phase, self._unit, self._total, self._done = text, unit, total, 0
        self._started = time.monotonic()
        self._say()

    def advance(self, amount: int) -> None:
        """So much more of the phase is done."""
        with self._lock:
            self._done += amount
            if time.monotonic() - self._said > _EVERY_SECONDS:
                self._say()

    def note(self, text: str) -> None:
        """Something that the user should know."""
        self.emit({"event": "note", "text": text})

    def finish(self, result: dict[str, Any]) -> None:
        """The last word of a program that did what it was told."""
        self.emit({"event": "done", "result": result})

    def fail(self, error: ProvisionError) -> None:
        """The last word of one that could not."""
        self.emit(
            {
                "event": "error",
                "exit_code": error.exit_code,
                "message": error.message,
                "next_step": error.next_step,
            }
        )

    def emit(self, event: dict[str, Any]) -> None:
        """Write one event."""
        with self._lock:
            self._out.write(json.dumps(event) + "\n")
            self._out.flush()

    def _say(self) -> None:
        self._said = time.monotonic()
        self.emit(
            {
                "event": "progress",
                "phase": self._phase,
                "done": self._done,
                "total": self._total,
                "unit": self._unit,
                "seconds": round(self._said - self._started, 3),
            }
        )
