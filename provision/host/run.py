"""One run of the bootstrap: phases in their order, and a report on disk and in the bucket."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol, TextIO

from provision._version import __version__
from provision.host import files
from provision.host.aws import Aws
from provision.host.commands import Commands, disk_full
from provision.host.failures import HostError
from provision.host.places import Places
from provision.host.settings import HostSettings
from provision.model.boot import BootReport, Failure, first, log_key, report_key

_LOG_LINES = 300
_LOG_SECONDS = 10.0
_LOCK_SECONDS = 1800.0
_REPORT_SECONDS = 30.0
_WAITING = "waiting: "


@dataclass
class Host:
    """This machine, and the doors that phases go through."""

    places: Places
    commands: Commands
    aws: Aws
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @cached_property
    def settings(self) -> HostSettings:
        """What the bundle says; read at its first use, which is after the bundle was checked."""
        return HostSettings.load(self.places.bundle / "settings.json")

    @cached_property
    def instance(self) -> str:
        """This machine's id."""
        return self.aws.instance()

    def patiently(
        self, attempt: Callable[[], None], seconds: float, codes: Sequence[str], step: Step
    ) -> None:
        """Try again, with growing pauses, while `attempt` fails with one of these codes."""
        began, pause = self.clock(), 1.0
        while True:
            try:
                return attempt()
            except HostError as error:
                if error.code not in codes or self.clock() - began > seconds:
                    raise
                step.waits(error.message)
            self.sleep(pause)
            pause = min(pause * 2, 20.0)


class Step(Protocol):
    """What a phase tells while it works."""

    def changed(self, what: str) -> None:
        """Something is different from before this run."""

    def detail(self, text: str) -> None:
        """What there is to know about the outcome."""

    def waits(self, reason: str) -> None:
        """What is being waited for; it shows in the report at once."""


PhaseBody = Callable[[Host, Step], None]


@dataclass
class Log:
    """The boot log: to standard error for the journal, and to a file for the bucket."""

    path: Path
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add lines."""
        stamp = datetime.now(UTC).strftime("%H:%M:%S")
        for line in text.splitlines():
            self.lines.append(f"{stamp} {line}")
            self.stream.write(f"{line}\n")
        self.stream.flush()
        self.lines = self.lines[-_LOG_LINES:]

    def text(self) -> str:
        """The last lines."""
        return "".join(f"{line}\n" for line in self.lines)


def now() -> str:
    """The time as ISO 8601 in UTC, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Run:
    """Runs phases and keeps the report. A report that the bucket refuses does not stop the run."""

    def __init__(self, host: Host, log: Log, since: str = "") -> None:
        self._host = host
        self._log = log
        self._since = since or now()
        self._told = ""
        self._next_log = 0.0
        self.report = first("", self._number(), self._since, __version__)

    def _number(self) -> int:
        try:
            return BootReport.from_json(files.read(self._host.places.report)).run + 1
        except ValueError:
            return 1

    def go(self, phases: Sequence[tuple[str, PhaseBody]]) -> BootReport:
        """Run these phases; returns the report, whose `state` is ready or failed."""
        for name, body in phases:
            failure = self._phase(name, body)
            if failure is not None:
                self._log.say(f"failed: {failure.cause}\n  next: {failure.next_step}")
                self.report = replace(self.report, state="failed", failure=failure)
                break
        else:
            self.report = replace(self.report, state="ready")
        self.store()
        return self.report

    def _phase(self, name: str, body: PhaseBody) -> Failure | None:
        step = _Step(self, name)
        began = _cpu()
        self.update(name, state="running", started_at=now())
        self._log.say(f"{name} ...")
        try:
            with _explained():
                body(self._host, step)
        except HostError as error:
            self._set(name, state="failed", ended_at=now(), cpu_seconds=_since(began))
            return Failure(
                name, error.code, error.message, error.next_step, error.command, error.tail
            )
        phase = self.report.phase(name)
        changed, state = phase.changed, "done" if phase.changed else "unchanged"
        # What was waited for has come.
        detail = "" if phase.detail.startswith(_WAITING) else phase.detail
        # The next phase begins at once, and its beginning tells the bucket both.
        ended = now()
        self._set(name, state=state, ended_at=ended, cpu_seconds=_since(began), detail=detail)
        self._log.say(f"{name}: {', '.join(changed) or 'unchanged'}")
        return None

    def update(self, name: str, **fields: object) -> None:
        """Bring one phase of the report up to date, and store it."""
        self._set(name, **fields)
        self.store()

    def _set(self, name: str, **fields: object) -> None:
        phase = replace(self.report.phase(name), **fields)  # type: ignore[arg-type]
        self.report = self.report.with_phase(phase)

    def log(self, text: str) -> None:
        """Add to the boot log."""
        self._log.say(text)

    def store(self) -> None:
        """Write the report and the log to the disk and, as far as it takes them, the bucket."""
        instance = self._instance()
        self.report = replace(self.report, instance=instance, updated_at=now())
        text, places = self.report.to_json(), self._host.places
        with _forgiving(self._complain):
            files.folder(places.state)
            files.write(places.report, text)
            files.write(places.log, self._log.text())
        if instance:
            with _forgiving(self._complain):
                self._host.aws.publish(report_key(instance), text)
                self._publish_log(log_key(instance))

    def _publish_log(self, key: str) -> None:
        """Each request costs a tenth of a second: while it runs, only now and then."""
        if self.report.state != "running" or self._host.clock() >= self._next_log:
            self._next_log = self._host.clock() + _LOG_SECONDS
            self._host.aws.publish(key, self._log.text(), "text/plain")

    def _instance(self) -> str:
        try:
            return self._host.instance
        except HostError:
            return ""

    def _complain(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._log.say(f"the report could not be stored: {reason}")


class _Step:
    """A phase's side of the report."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name
        self._next = 0.0
        self._reason = ""

    def changed(self, what: str) -> None:
        """Something is different from before this run."""
        before = self._run.report.phase(self._name).changed
        self._run.log(f"  {what}")
        self._set(changed=(*before, what))

    def detail(self, text: str) -> None:
        """What there is to know about the outcome."""
        self._set(detail=text)

    def waits(self, reason: str) -> None:
        """What is being waited for; it shows in the report at once, but not at every look."""
        if reason == self._reason and time.monotonic() < self._next:
            return
        if reason != self._reason:
            self._run.log(f"  waiting: {reason}")
        self._reason, self._next = reason, time.monotonic() + _REPORT_SECONDS
        self._run.update(self._name, detail=f"{_WAITING}{reason}")

    def _set(self, **fields: object) -> None:
        phase = replace(self._run.report.phase(self._name), **fields)  # type: ignore[arg-type]
        self._run.report = self._run.report.with_phase(phase)


@contextmanager
def only_one(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let no second bootstrap work meanwhile: it waits for the first one, half an hour at most.

    The kernel gives the lock back when its holder ends in any way. Raises HostError `another-run`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        deadline, told = time.monotonic() + _LOCK_SECONDS, False
        while not _locked(stream.fileno()):
            if not told:
                say("another run of the bootstrap is at work: waiting for it")
                told = True
            if time.monotonic() > deadline:
                raise HostError(
                    "another-run",
                    "another run of the bootstrap has been at work for half an hour",
                    next_step="look at `provision logs`; restart the machine if it hangs",
                )
            time.sleep(0.5)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except HostError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(str(error)) from error
        raise _unexpected(error) from error
    except Exception as error:
        raise _unexpected(error) from error


def _unexpected(error: Exception) -> HostError:
    return HostError(
        "unexpected",
        f"{type(error).__name__}: {error}",
        next_step="`provision repair` tries again; if it stays so, send the boot log "
        "(`provision logs`) to the kit's authors",
    )


@contextmanager
def _forgiving(complain: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except (HostError, OSError) as error:
        complain(str(error))


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _since(began: float) -> float:
    return round(_cpu() - began, 2)
