"""Waiting for a host that boots elsewhere: all that is known of it is its report in a bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from provision.errors import ProvisionError
from provision.model import boot_view
from provision.model.boot import BootReport
from provision.model.durations import spoken
from provision.targets.base import Progress

Look = Callable[[], BootReport | None]


@dataclass(frozen=True)
class Patience:
    """How long each kind of silence is borne, in seconds, and how often one looks.

    `unseen`: without a first word (EC2 boots a Debian in under a minute; the loader reports as soon
    as it has credentials and a way to S3). `still`: with the same report; the longest phase waits
    for a new database. `runs`: how many failed runs in a row are believed; the machine itself tries
    again after a minute.
    """

    unseen: float = 420.0
    still: float = 1500.0
    poll: float = 2.0
    runs: int = 2


class HostWait:
    """One wait. `silent` says what is known of a machine that does not report, and what to do.

    `trouble` says, each time, why no report can come any more; empty while one can.
    """

    def __init__(  # noqa: PLR0913 - the last two are passed by name
        self,
        look: Look,
        silent: Callable[[str], ProvisionError],
        patience: Patience,
        trouble: Callable[[], str] = lambda: "",
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._look = look
        self._silent = silent
        self._patience = patience
        self._trouble = trouble
        self._feared = ""
        self._clock = clock
        self._sleep = sleep
        self._began = self._moved = clock()
        self._report: BootReport | None = None
        self._failed_runs: set[int] = set()

    def until_ready(self, progress: Progress, *, after_run: int = 0) -> BootReport:
        """The report of a run that ended well, of those after `after_run`.

        Raises `ProvisionError` with the phase, cause and last lines of a run that failed, and for a
        machine that says nothing, or nothing new.
        """
        with progress.board(self._lines) as tell:
            while True:
                found = self._look()
                if found is not None and (found.run == 0 or found.run > after_run):
                    self._take_in(found, tell)
                    if found.state == "ready" and found.run > after_run:
                        return found
                self._require_no_trouble()
                self._require_patience()
                self._sleep(self._patience.poll)

    def _lines(self) -> list[str]:
        return boot_view.lines(self._report, self._clock() - self._began)

    def _take_in(self, found: BootReport, tell: Callable[[str], None]) -> None:
        if found == self._report:
            return
        before, self._report = self._report, found
        self._moved = self._clock()
        for text in boot_view.news(before, found):
            tell(text)
        if found.state == "failed":
            self._failed(found, tell)

    def _failed(self, found: BootReport, tell: Callable[[str], None]) -> None:
        failure = found.failure
        if failure is None:
            return
        self._failed_runs.add(found.run)
        if len(self._failed_runs) >= self._patience.runs:
            raise ProvisionError(boot_view.failed(failure), next_step=failure.next_step)
        tell(f"{failure.phase} failed ({failure.cause}); the machine tries again in a minute")

    def _require_no_trouble(self) -> None:
        """Two looks in a row: a machine that is just being started may still seem to be off."""
        trouble = self._trouble()
        if trouble and trouble == self._feared:
            raise self._silent(trouble)
        self._feared = trouble

    def _require_patience(self) -> None:
        now = self._clock()
        if self._report is None and now - self._began > self._patience.unseen:
            raise self._silent(f"has not reported within {spoken(now - self._began)}")
        if now - self._moved > self._patience.still:
            raise self._silent(f"has not reported anything new for {spoken(now - self._moved)}")
