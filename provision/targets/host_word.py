"""A machine's word where its bucket is silent: it may not be allowed to write there any more."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from provision.adapters.cloud.commands import run_on_machine
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.boot import BootReport

Look = Callable[[], BootReport | None]
QUIET_SECONDS: Final = 45.0
"""How long the bucket may say nothing new before the machine itself is asked, each time anew."""

_READ: Final = "cat /var/lib/provision/boot.json"
_ANSWER_SECONDS: Final = 30.0


class NewestWord:
    """Each call looks into the bucket, and now and then at the machine's own copy of its report."""

    def __init__(
        self, bucket: Look, machine: Look, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bucket = bucket
        self._machine = machine
        self._clock = clock
        self._next = clock() + QUIET_SECONDS
        self._told: BootReport | None = None
        self._own: BootReport | None = None

    def __call__(self) -> BootReport | None:
        """The newer one of both; `None` where there is neither."""
        told = self._bucket()
        if told != self._told:
            self._told, self._next = told, self._clock() + QUIET_SECONDS
        elif self._clock() >= self._next:
            self._own = self._machine() or self._own
            self._next = self._clock() + QUIET_SECONDS
        found = [report for report in (told, self._own) if report is not None]
        return max(found, key=lambda r: (r.run, r.updated_at), default=None)


def ask_machine(cloud: Cloud, instance: str) -> BootReport | None:
    """The report on the machine's own disk, through Systems Manager; `None` where that is not."""
    with contextlib.suppress(ProvisionError, ValueError):
        ran = run_on_machine(cloud, instance, [_READ], seconds=_ANSWER_SECONDS)
        return BootReport.from_json(ran.out)
    return None
