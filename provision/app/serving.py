"""`provision serve`: a registered model as a service beside its tracking server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from provision.errors import MissingError, UsageError
from provision.model.serving import ModelRef, ServiceState
from provision.targets.base import Progress


class Services(Protocol):
    """The services of one stack."""

    def states(self) -> Sequence[ServiceState]:
        """Every service that was asked for."""

    def start(
        self, ref: ModelRef, port: int | None, memory: int | None, progress: Progress
    ) -> tuple[ServiceState, bool]:
        """Serve a model, within so many bytes of memory; whether anything had to be started."""

    def stop(self, ref: ModelRef, progress: Progress) -> bool:
        """Stop a service; whether there was one."""


@dataclass(frozen=True)
class ServeResult:
    """One service. `changed` is False when it ran already with these settings."""

    service: ServiceState
    changed: bool


@dataclass(frozen=True)
class ServiceList:
    """All services of a stack."""

    services: Sequence[ServiceState]


@dataclass(frozen=True)
class ServiceStopped:
    """A service that was stopped."""

    model: str


def serve(
    services: Services, ref: ModelRef, port: int | None, memory: int | None, progress: Progress
) -> ServeResult:
    """Serve a model and wait until a version answers. Raises what keeps it from that."""
    state, changed = services.start(ref, port, memory, progress)
    return ServeResult(state, changed)


def stop(services: Services, uri: str | None, progress: Progress) -> ServiceStopped:
    """Stop one service; without `uri`, the only one. Raises MissingError where there is none."""
    model = uri or _only(services)
    if not services.stop(ModelRef.parse(model), progress):
        raise MissingError(
            f"{model} is not served here", next_step="provision serve --list shows what is"
        )
    return ServiceStopped(model)


def _only(services: Services) -> str:
    models = [state.model for state in services.states()]
    if not models:
        raise MissingError(
            "no model is served here", next_step="provision serve models:/NAME@ALIAS"
        )
    if len(models) > 1:
        raise UsageError(
            f"several models are served: {', '.join(models)}",
            next_step=f"name one: provision serve --stop {models[0]}",
        )
    return models[0]
