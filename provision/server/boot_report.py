"""The boot report: how far the server has come, for whoever waits for it (`provision.boot/1`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provision.server.failures import BootError

SCHEMA = "provision.boot/1"


def now() -> str:
    """The time as ISO 8601 in UTC, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass
class BootReport:
    """A JSON file that is replaced as a whole at every step.

    `state` is starting, ready or failed; each phase is running, ok or failed. A report speaks only
    for the process in `pid`: the file stays behind when that process is gone.
    """

    path: Path
    pid: int = field(default_factory=os.getpid)
    state: str = "starting"
    phases: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, str] | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record a phase: running on entry, then ok or failed. A BootError is recorded in full."""
        self.begin(name)
        try:
            yield
        except BootError as error:
            self.fail(error)
            raise
        self.end("ok")

    def begin(self, name: str) -> None:
        """Start a phase that ends elsewhere."""
        self.phases.append(
            {"name": name, "outcome": "running", "started_at": now(), "ended_at": None}
        )
        self._write()

    def end(self, outcome: str) -> None:
        """End the running phase."""
        self.phases[-1] |= {"outcome": outcome, "ended_at": now()}
        self._write()

    def ready(self) -> None:
        """End the last phase and say that requests are being answered."""
        self.state = "ready"
        self.end("ok")

    def was_ready(self) -> bool:
        """Whether the file says so: workers report from processes of their own."""
        return bool(json.loads(self.path.read_text(encoding="utf-8"))["state"] == "ready")

    def fail(self, error: BootError) -> None:
        """End the last phase as failed, with the reason and the next step."""
        self.state = "failed"
        self.error = {
            "code": error.code,
            "message": error.message,
            "next_step": error.next_step,
        }
        self.end("failed")

    def _write(self) -> None:
        document = {
            "schema": SCHEMA,
            "pid": self.pid,
            "state": self.state,
            "phases": self.phases,
            "error": self.error,
        }
        # Several workers may report at once: each has its own temporary name.
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(document, indent=2), encoding="utf-8")
        part.replace(self.path)
