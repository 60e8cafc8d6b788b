"""What `provision serve` asks of this machine: one answer as JSON, for the program that asked.

`{"ok": true, ...}`, or `{"ok": false, "error": ..., "next_step": ...}` for what a user did or can
mend. Nothing here waits for a model: how it is going is in `services`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError
from provision.host import files, models
from provision.host.failures import HostError
from provision.host.phases import models as units
from provision.host.phases import service, settings
from provision.host.run import Host
from provision.model.serving import ModelRef, Served, ServiceHealth, ServiceState
from provision.model.sizing import MODEL_MIB


class _Said:
    """The side of a phase: what it changed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.changes: list[str] = []
        self._say = say

    def changed(self, what: str) -> None:
        """Something is different."""
        self.changes.append(what)
        self._say(f"  {what}")

    def detail(self, text: str) -> None:
        """What there is to know about the outcome."""

    def waits(self, reason: str) -> None:
        """What is being waited for."""
        self._say(f"  waiting: {reason}")


def answer(host: Host, wish: str, say: Callable[[str], None]) -> str:
    """Do what one wish asks for: `{"do": "serve", "model": URI, "memory": MIB}`, `stop`, `list`.

    Without `memory` it is what the model had before, or the usual.
    """
    try:
        asked = dict(json.loads(wish))
        acts = {"serve": serve, "stop": stop, "list": lambda host, *_: services(host)}
        found = acts[asked["do"]](host, asked, say)
    except ProvisionError as error:
        return json.dumps({"ok": False, "error": error.message, "next_step": error.next_step})
    return json.dumps({"ok": True, **found})


def serve(host: Host, asked: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Serve a model from now on. Raises ProvisionError where it does not fit."""
    _require_machine(host)
    ref, before = ModelRef.parse(asked["model"]), models.listed(host.places)
    known = next((model.memory for model in before if model.ref == ref), MODEL_MIB)
    wanted = Served(ref.uri, int(asked.get("memory", known)))
    after = [*(model for model in before if model.ref != wanted.ref), wanted]
    if why := models.problem(host, after):
        raise HostError(
            "too-small", f"{wanted.uri} does not fit: {why}", next_step=models.WHAT_HELPS
        )
    if wanted in before and _state(host, wanted)["health"] in ("ready", "starting"):
        return {"changed": False}
    models.keep(host, after)
    units.begin_anew(host, wanted)
    _apply(host, say)
    return {"changed": True}


def stop(host: Host, asked: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Serve a model no longer; whether it was served."""
    ref = ModelRef.parse(asked["model"])
    before = models.listed(host.places)
    after = [model for model in before if model.ref != ref]
    if len(after) == len(before):
        return {"changed": False}
    models.keep(host, after)
    _apply(host, say)
    return {"changed": True}


def services(host: Host) -> dict[str, Any]:
    """How each model is."""
    return {"services": [_state(host, model) for model in models.listed(host.places)]}


def _state(host: Host, model: Served) -> dict[str, Any]:
    text = files.read(units.folder_of(host.places, model) / "state.json")
    state = ServiceState.from_json(json.loads(text or "null")) or ServiceState(model.uri, "")
    told = {**state.to_json(), "slug": model.ref.slug, "memory": model.memory}
    stopped = state.health != ServiceHealth.FAILED and not units.runs(host, model)
    return told | ({"health": ServiceHealth.STOPPED} if stopped else {})


def _apply(host: Host, say: Callable[[str], None]) -> None:
    said = _Said(say)
    for phase in (settings, service, units):
        phase.run(host, said)


def _require_machine(host: Host) -> None:
    if host.places.root != Path("/"):
        raise HostError(
            "no-units",
            "models are served by units of systemd, which a rehearsal without booting lacks",
            next_step="use target: rehearsal without --no-boot, or target: local",
        )
