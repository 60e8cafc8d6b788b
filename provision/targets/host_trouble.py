"""What tells early that a machine will not report any more: it was stopped, or is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from provision.adapters.cloud.server import machine_state
from provision.adapters.cloud.session import Cloud

_EVERY_SECONDS: Final = 10.0
_RUNS: Final = ("pending", "running")
LAB_NEXT_STEP: Final = (
    "provision up starts the lab anew, in which the database begins empty; its log is lab/lab.log "
    "in the stack's folder"
)


class Ended:
    """Asks EC2 for the machine's state, now and then."""

    def __init__(
        self, cloud: Cloud, instance: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cloud = cloud
        self._instance = instance
        self._clock = clock
        self._next = clock() + _EVERY_SECONDS
        self._said = ""

    def __call__(self) -> str:
        """Why it will not report, as the end of a sentence about it; empty while it runs."""
        if self._said or self._clock() >= self._next:
            self._next = self._clock() + _EVERY_SECONDS
            self._said = "" if runs(machine_state(self._cloud, self._instance)) else _SILENT
        return self._said


_SILENT: Final = "does not report"


def runs(state: str) -> bool:
    """Whether EC2's word for a machine's state means that it is there, or on its way."""
    return state in _RUNS
