"""How much is asked of a service at once: less when it says to slow down, then slowly more."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from provision.errors import ProvisionError

_SLOW: Final = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "503", "500", "RequestLimitExceeded"}
)
_MOST: Final = 1000  # keys that one DeleteObjects takes (S3 API reference)
_LEAST: Final = 50
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 20.0
_PATIENCE: Final = 600.0


class Pace:
    """Shared by threads: after a refusal all of them pause, and ask for half as much."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._size = _MOST
        self._pause = 0.0
        self._until = 0.0
        self._well_at = clock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[int]:
        """Wait for the end of a pause; yields how many keys may be asked for."""
        while (wait := self._until - self._clock()) > 0:
            self._sleep(wait)
        yield self._size

    def heeds(self, code: str) -> bool:
        """Whether the code means to slow down, which happens then.

        Raises `ProvisionError` when nothing went well for ten minutes.
        """
        if code not in _SLOW:
            return False
        with self._lock:
            now = self._clock()
            if now - self._well_at > _PATIENCE:
                raise ProvisionError(
                    f"S3 has refused everything for {_PATIENCE / 60:.0f} minutes ({code})",
                    next_step="run this again later: it goes on where it ended",
                )
            if now >= self._until:  # the others of the same moment were refused for the same reason
                self._size = max(_LEAST, self._size // 2)
                self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
                self._until = now + self._pause
        return True

    def went_well(self) -> None:
        """Ask for a little more next time."""
        with self._lock:
            self._well_at = self._clock()
            self._pause = max(0.0, self._pause - _FIRST_PAUSE)
            self._size = min(_MOST, self._size + _LEAST)
