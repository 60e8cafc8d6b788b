"""Which version answers: rolls to a new one when the alias moves, and stays when that fails."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from provision.errors import ProvisionError
from provision.model.serving import ServiceHealth, ServiceState
from provision.model.tracking import TrackingError
from provision.serving.scorer import Scorer, ScoringError

_log = logging.getLogger("provision.serving")

_FIRST_PAUSE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 960.0

Start = Callable[[str, Path], Scorer]


class Roller:
    """Looks again and again at what is wanted. `current` may be read by any thread.

    A version that fails is tried again after a minute, then after two, and so on: what was missing
    (memory, disk) may come back. Until then the version before it answers.
    """

    def __init__(
        self,
        state: ServiceState,
        wanted: Callable[[], str],
        files: Callable[[str], Path],
        start: Start,
        tell: Callable[[ServiceState], None],
    ) -> None:
        self.current: Scorer | None = None
        self.state = state
        self._before: tuple[str, Path] | None = None
        self._wanted = wanted
        self._files = files
        self._start = start
        self._tell = tell
        self.tidy: Callable[[set[Path]], None] = lambda _: None
        """Told which files are still of use, once a version has taken over."""
        self._pause = _FIRST_PAUSE_SECONDS
        self._again_at = 0.0

    def run(self, seconds: float, stop: threading.Event) -> None:
        """Look every `seconds` until told to stop; then end what answers."""
        while not stop.is_set():
            try:
                self.look()
            except Exception as error:
                _log.exception("looking at the model failed")
                self._reject("", str(error))
            stop.wait(seconds)
        if self.current is not None:
            self.current.stop()

    def look(self) -> None:
        """One look: mend what died, then take the wanted version."""
        if self.current is not None and not self.current.alive():
            self._mend(self.current)
        version = self._what_is_wanted()
        if version and version == self._answering():
            self._forgive()
        elif version and not self._barred(version):
            self._roll(version)

    def _forgive(self) -> None:
        if self.state.rejected:
            self._say(rejected="", reason="")

    def _answering(self) -> str:
        return self.current.version if self.current else ""

    def _what_is_wanted(self) -> str:
        try:
            return self._wanted()
        except TrackingError as error:
            # The tracking server is away: the version that answered last goes on, or comes back.
            _log.warning("the registry does not answer: %s", error.message)
            return self._answering() or self.state.version
        except ProvisionError as error:
            if self.current is None:
                self._reject("", error.message)
            return ""

    def _barred(self, version: str) -> bool:
        if version != self.state.rejected:
            self._pause = _FIRST_PAUSE_SECONDS
            return False
        return time.monotonic() < self._again_at

    def _roll(self, version: str) -> None:
        _log.info("starting version %s", version)
        try:
            self._take(self._start(version, self._place(version)))
        except ProvisionError as error:
            self._reject(version, error.message)

    def _place(self, version: str) -> Path:
        try:
            return self._files(version)
        except TrackingError:
            if version == self.state.version and self.state.files:
                return Path(self.state.files)
            raise

    def _take(self, scorer: Scorer) -> None:
        old, self.current = self.current, scorer
        if old is not None and old.version != scorer.version:
            self._before = (old.version, old.files)
        _log.info("version %s answers", scorer.version)
        self._say(
            health=ServiceHealth.READY,
            version=scorer.version,
            files=str(scorer.files),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            rejected="",
            reason="",
        )
        if old is not None:
            old.stop()
        self.tidy({scorer.files, *([self._before[1]] if self._before else [])})

    def _mend(self, dead: Scorer) -> None:
        """Start the version again that died; where that fails, go back to the one before."""
        _log.error("version %s has died; starting it again", dead.version)
        self._say(health=ServiceHealth.STARTING)
        try:
            self._take(self._start(dead.version, dead.files))
        except ScoringError as error:
            dead.stop()
            self.current = None
            self._go_back()
            self._reject(dead.version, error.message)

    def _go_back(self) -> None:
        if self._before is not None:
            with contextlib.suppress(ScoringError):
                self._take(self._start(*self._before))

    def _reject(self, version: str, reason: str) -> None:
        _log.error("%s", reason)
        if (version, reason) == (self.state.rejected, self.state.reason):
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._again_at = time.monotonic() + self._pause
        health = ServiceHealth.READY if self.current else ServiceHealth.FAILED
        self._say(health=health, rejected=version, reason=reason)

    def _say(self, **changes: object) -> None:
        state = replace(self.state, **changes)  # type: ignore[arg-type]
        if state != self.state:
            self.state = state
            self._tell(state)
