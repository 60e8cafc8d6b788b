"""Models as services beside the local server: one supervisor each, in the stack's folder.

A supervisor of its own lets a model come and go without touching the tracking server, and without
a control socket that somebody else could use.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from provision.adapters import processes, workspace
from provision.errors import MissingError, ProvisionError
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.serving import ModelRef, ServiceHealth, ServiceState
from provision.serving.settings import ServiceSettings
from provision.targets import supervision
from provision.targets.base import Progress
from provision.targets.record import ANY_ADDRESS, netloc

_POLL_SECONDS = 0.1
_LOCK_WAIT_SECONDS = 180.0
_PATIENCE_SECONDS = 330.0
_STOP_SECONDS = supervision.SERVER_STOP_SECONDS + 15.0


class ModelServices:
    """The services of one stack. All state is on disk and in the process table."""

    def __init__(self, layout: Layout, python: str, environment: Mapping[str, str]) -> None:
        self._layout = layout
        self._python = python
        self._environment = environment

    # -- what there is --------------------------------------------------------------------------

    def states(self) -> Sequence[ServiceState]:
        """Every service that was asked for, whether it runs or not."""
        return [self._state(settings) for settings in self._all()]

    def logs(self) -> Mapping[str, Path]:
        """The log of each model, also of one that could not be served."""
        return {file.stem: file for file in sorted(self._layout.logs.glob("model-*.log"))}

    def _all(self) -> Sequence[ServiceSettings]:
        files = sorted(self._layout.models.glob("*/service.json"))
        return [found for file in files if (found := ServiceSettings.load(file))]

    def _state(self, settings: ServiceSettings) -> ServiceState:
        slug = settings.ref.slug
        fresh = ServiceState(settings.model, settings.uri)
        stored = workspace.read_json(self._folder(slug) / "state.json")
        state = ServiceState.from_json(stored) or fresh
        if not self._runs(slug):
            return replace(state, health=ServiceHealth.STOPPED)
        return state

    def _runs(self, slug: str) -> bool:
        return processes.supervisor_of(self._layout.root, _config(slug)) is not None

    def _known(self, ref: ModelRef) -> ServiceSettings | None:
        return ServiceSettings.load(self._folder(ref.slug) / "service.json")

    def _folder(self, slug: str) -> Path:
        return self._layout.models / slug

    # -- starting -------------------------------------------------------------------------------

    def start(
        self, ref: ModelRef, server: Mapping[str, Any], port: int | None, progress: Progress
    ) -> tuple[ServiceState, bool]:
        """Serve a model and wait until a version answers; whether anything had to be started.

        `server` are the tracking server's part of the settings (`settings_of`). Raises
        `MissingError` (port taken, no such model) and what keeps the version from being served;
        then nothing is left running, and a service that ran with other settings is stopped.
        """
        with self._exclusive(progress):
            wanted = self._wanted(ref, server, port)
            changed = not (self._runs(ref.slug) and self._known(ref) == wanted)
            if changed:
                self._stop(ref)
                self._require_port(wanted)
                self._launch(wanted)
        try:
            return self._wait(wanted, progress), changed
        except (KeyboardInterrupt, ProvisionError):
            self._stop(ref)
            raise

    def _exclusive(self, progress: Progress) -> AbstractContextManager[None]:
        return workspace.exclusive(
            self._layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        )

    def resume(self, server: Mapping[str, Any]) -> None:
        """Start again what was asked for and does not run, as after a `down`; does not wait.

        For a caller that holds the stack's lock.
        """
        for settings in (found for found in self._all() if not self._runs(found.ref.slug)):
            self._launch(replace(settings, **server, uri=_uri(server["host"], settings.port)))

    def _wanted(
        self, ref: ModelRef, server: Mapping[str, Any], port: int | None
    ) -> ServiceSettings:
        if port is None:
            known = self._known(ref)
            port = known.port if known else self._free_port(server)
        uri = _uri(server["host"], port)
        return ServiceSettings(model=ref.uri, port=port, uri=uri, **server)

    def _free_port(self, server: Mapping[str, Any]) -> int:
        taken = {settings.port for settings in self._all()}
        port = int(server["tracking_uri"].rpartition(":")[2]) + 1
        while (port := processes.free_port(server["host"], port)) in taken:
            port += 1
        return port

    def _require_port(self, wanted: ServiceSettings) -> None:
        holder = processes.holder_of(wanted.host, wanted.port)
        if holder is None:
            return
        free = processes.free_port(wanted.host, wanted.port + 1)
        raise MissingError(
            f"port {wanted.port} is taken by {holder.name}",
            next_step=f"provision serve {wanted.model} --port {free}, or stop that process",
        )

    def _launch(self, settings: ServiceSettings) -> None:
        slug = settings.ref.slug
        folder = self._folder(slug)
        for path in (self._layout.models, folder, folder / "run"):
            workspace.make_folder(path)
        self._note_start(folder, settings)
        config = supervision.model_config(slug, as_root=os.geteuid() == 0)
        workspace.write_text(self._layout.root / _config(slug), config)
        processes.start_supervisor(
            self._layout.root,
            self._layout.root / _config(slug),
            self._layout.logs / f"model-{slug}.log",
            {
                **self._environment,
                **supervision.program_variables(self._python, None),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "PYTHONUNBUFFERED": "1",
            },
        )

    @staticmethod
    def _note_start(folder: Path, settings: ServiceSettings) -> None:
        """The version that answered last is kept: it comes back where the registry is silent."""
        last = ServiceState.from_json(workspace.read_json(folder / "state.json"))
        fresh = ServiceState(settings.model, settings.uri)
        if last is not None:
            fresh = replace(fresh, version=last.version, files=last.files)
        workspace.write_json(folder / "service.json", settings.to_json())
        workspace.write_json(folder / "state.json", fresh.to_json())

    def _wait(self, wanted: ServiceSettings, progress: Progress) -> ServiceState:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with progress.step("loading the model"):
            while (state := self._state(wanted)).health is ServiceHealth.STARTING:
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL_SECONDS)
        if state.health is not ServiceHealth.READY:
            raise self._failure(wanted.ref.slug, state)
        return state

    @staticmethod
    def _failure(slug: str, state: ServiceState) -> ProvisionError:
        return ProvisionError(
            f"{state.model} cannot be served: {state.reason or 'it did not come up'}",
            next_step=f"provision logs model-{slug} shows more; mend the model or its alias, then "
            f"provision serve {state.model}",
        )

    # -- stopping -------------------------------------------------------------------------------

    def stop(self, ref: ModelRef, progress: Progress) -> bool:
        """Stop a service; it does not come back at the next `up`. Whether there was one."""
        if not self._folder(ref.slug).exists():
            return False
        with self._exclusive(progress), progress.step("stopping the service"):
            self._stop(ref)
        return True

    def _stop(self, ref: ModelRef) -> None:
        processes.stop_supervisor(self._layout.root, _config(ref.slug), _STOP_SECONDS)
        workspace.remove_folder(self._folder(ref.slug))


def _config(slug: str) -> str:
    return f"models/{slug}/supervisor.conf"


def _uri(host: str, port: int) -> str:
    return f"http://{netloc(ANY_ADDRESS.get(host, host))}:{port}"


def server_part(
    layout: Layout, endpoint: Endpoint, host: str, names: Sequence[str], python: str
) -> dict[str, Any]:
    """The settings of a service that come from its tracking server: same address, same accounts.

    `names` are the host names, with or without port, under which the server may be asked for.
    """
    account = endpoint.credentials
    hosts = [name for name in names if ":" not in name.rpartition("]")[2]]
    return {
        "host": host,
        "tracking_uri": endpoint.uri,
        "artifacts": str(layout.artifacts),
        "python": python,
        "allowed_hosts": tuple(dict.fromkeys(hosts)),
        "username": account.username if account else "",
        "password_file": str(account.password_file) if account else "",
    }
