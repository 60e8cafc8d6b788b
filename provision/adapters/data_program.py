"""The door to the program that copies a store: a process of its own, beside the data.

It is started by the stack's own Python, gets its job on stdin and answers in JSON lines
(`provision/server/archive`). It ends when its stdin closes, so it never outlives this command.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from provision.errors import (
    CheckFailedError,
    MissingError,
    ProvisionError,
    RefusedError,
    UsageError,
    UserInterruptError,
)

MODULE = "provision.server.archive"
_LAST_WORDS = 2000
_END_SECONDS = 10
_KINDS: Mapping[int, type[ProvisionError]] = {
    kind.exit_code: kind for kind in (UsageError, RefusedError, MissingError, CheckFailedError)
}

Event = Mapping[str, Any]


class DataProgram:
    """Runs jobs, one process each."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self._python = python
        self._environment = {**environment, "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(self, job: Mapping[str, Any], on_event: Callable[[Event], None]) -> dict[str, Any]:
        """Do a job and return its result; whatever it reports on the way goes to `on_event`.

        Raises the error that the program reports, and `UserInterruptError` on Ctrl-C, after the
        program has ended.
        """
        with tempfile.TemporaryFile() as errors:
            process = self._start(errors)
            try:
                last = _follow(process, job, on_event)
            except KeyboardInterrupt:
                raise UserInterruptError(
                    "interrupted; nothing was lost",
                    next_step="run the same command again: it goes on where it stopped",
                ) from None
            finally:
                _end(process)
            return _result(last, process.returncode, errors)

    def _start(self, errors: IO[bytes]) -> subprocess.Popen[str]:
        # A session of its own: Ctrl-C reaches it through us, when we let go of its stdin.
        return subprocess.Popen(
            [self._python, "-m", MODULE],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )


def _follow(
    process: subprocess.Popen[str], job: Mapping[str, Any], on_event: Callable[[Event], None]
) -> Event:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the program has no pipes")
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    last: Event = {}
    for event in _events(process.stdout):
        last = event
        on_event(event)
    return last


def _events(lines: IO[str]) -> Iterator[Event]:
    for line in lines:
        value = json.loads(line)
        if isinstance(value, dict):
            yield value


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _result(last: Event, code: int, errors: IO[bytes]) -> dict[str, Any]:
    if last.get("event") in ("done", "error"):
        return result_of(last)
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace")[-_LAST_WORDS:].strip()
    raise ProvisionError(
        f"the program that copies the data ended unexpectedly (code {code}): {said}",
        next_step="run the same command again: it goes on where it stopped",
    )


def result_of(last: Event) -> dict[str, Any]:
    """The result in a job's last event, or the error in it, raised."""
    if last["event"] == "done":
        return dict(last["result"])
    kind = _KINDS.get(int(last["exit_code"]), ProvisionError)
    raise kind(str(last["message"]), next_step=str(last["next_step"]))
