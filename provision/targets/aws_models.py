"""Models as services on a stack's machine, told by Run Command."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from provision.adapters.cloud.commands import run_on_machine
from provision.errors import ProvisionError, RefusedError, UsageError
from provision.model.serving import ROUTE, ModelRef, ServiceHealth, ServiceState
from provision.model.sizing import MIB
from provision.targets.aws_remote import AwsRemote
from provision.targets.base import Progress

_PROGRAM: Final = "/usr/bin/python3 -I /opt/provision/bundle/provision.pyz --models"
_POLL_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 1500.0
"""Its packages may take a quarter of an hour, and its first answer five minutes."""
_ANSWER_SECONDS: Final = 420.0
"""A server that gets less memory is started anew before the machine answers."""


@dataclass(frozen=True)
class AwsServices:
    """See `provision.app.serving.Services`. `uri` is the tracking server's, for clients."""

    remote: Callable[[], AwsRemote]
    uri: str

    def states(self) -> Sequence[ServiceState]:
        """Every service that was asked for, as the machine sees it."""
        return [self._state(told) for told in self._ask({"do": "list"})["services"]]

    def _state(self, told: Mapping[str, Any]) -> ServiceState:
        state = ServiceState.from_json(told)
        if state is None:
            raise _older()
        return replace(state, uri=f"{self.uri}{ROUTE}{told['slug']}")

    def start(
        self, ref: ModelRef, port: int | None, memory: int | None, progress: Progress
    ) -> tuple[ServiceState, bool]:
        """Serve a model and wait until a version answers; whether anything had to be started.

        Raises `RefusedError` where it does not fit beside the server, and what keeps the version
        from being served; then nothing is left running.
        """
        if port is not None:
            raise UsageError(
                "--port has no effect here: models answer on 443, below the server's own address",
                next_step="leave it out",
            )
        limit = {} if memory is None else {"memory": memory // MIB}
        with progress.step("telling the machine to serve it"):
            told = self._ask({"do": "serve", "model": ref.uri, **limit})
        try:
            return self._wait(ref, progress), bool(told["changed"])
        except (KeyboardInterrupt, ProvisionError):
            self._ask({"do": "stop", "model": ref.uri})
            raise

    def _wait(self, ref: ModelRef, progress: Progress) -> ServiceState:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with progress.step("fetching and loading the model"):
            while True:
                (state,) = (found for found in self.states() if found.model == ref.uri)
                if state.health is ServiceHealth.READY:
                    return state
                if state.health is not ServiceHealth.STARTING or time.monotonic() > deadline:
                    break
                time.sleep(_POLL_SECONDS)
        raise ProvisionError(
            f"{ref.uri} cannot be served: {state.reason or 'it did not come up'}",
            next_step=f"mend the model or its alias, then provision serve {ref.uri}",
        )

    def stop(self, ref: ModelRef, progress: Progress) -> bool:
        """Stop a service; it does not come back. Whether there was one."""
        with progress.step("stopping the service"):
            return bool(self._ask({"do": "stop", "model": ref.uri})["changed"])

    def _ask(self, wish: Mapping[str, Any]) -> Mapping[str, Any]:
        remote = self.remote()
        line = f"{_PROGRAM} {shlex.quote(json.dumps(wish))}"
        ran = run_on_machine(remote.opening.cloud, remote.instance, [line], seconds=_ANSWER_SECONDS)
        if ran.code == 2:
            raise _older()
        if ran.code:
            raise ProvisionError(
                f"the machine did not answer: {(ran.err or ran.out).strip()[-500:]}",
                next_step="provision repair, then run this again",
            )
        said: dict[str, Any] = json.loads(ran.out)
        if not said["ok"]:
            raise RefusedError(said["error"], next_step=said["next_step"])
        return said


def _older() -> RefusedError:
    return RefusedError(
        "the server's machine runs another version of provision, which serves no models so",
        next_step="provision up brings it up to date; then run this again",
    )
