"""Models as services beside a server on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from provision.errors import UsageError
from provision.model.serving import ModelRef, ServiceState
from provision.targets.base import Progress
from provision.targets.local import LocalTarget


class LocalServices:
    """See `provision.app.serving.Services`."""

    def __init__(self, target: LocalTarget) -> None:
        self._target = target

    def states(self) -> Sequence[ServiceState]:
        """Every service that was asked for."""
        return self._target.models().states()

    def start(
        self, ref: ModelRef, port: int | None, memory: int | None, progress: Progress
    ) -> tuple[ServiceState, bool]:
        """Serve a model; raises `UsageError` for a limit, which nothing would hold here."""
        if memory is not None:
            raise UsageError(
                "--memory is for a machine on AWS; here a model takes what it needs",
                next_step="leave it out",
            )
        return self._target.models().start(ref, self._target.models_server(), port, progress)

    def stop(self, ref: ModelRef, progress: Progress) -> bool:
        """Stop a service; whether there was one."""
        return self._target.models().stop(ref, progress)
