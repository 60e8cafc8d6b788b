"""What this machine must have, asked before anything is started on it or from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters import postgres, processes, workspace
from provision.adapters.containers import open_project
from provision.adapters.terraform.program import find_program
from provision.adapters.terraform.reach import provider_place
from provision.errors import MissingError, ProvisionError
from provision.model import sizing
from provision.model.findings.preflight import MACHINE_LAYERS
from provision.model.layout import Layout
from provision.model.questions import Question, Verdict
from provision.model.spec import Spec
from provision.model.units import format_size
from provision.targets import local_settings
from provision.targets.record import StackRecord

_LAYERS: Final = {layer.name: layer for layer in MACHINE_LAYERS}


@dataclass(frozen=True)
class Machine:
    """The questions of one stack; `mlflow` is the installed version, or ""."""

    spec: Spec
    layout: Layout
    mlflow: str
    environment: Mapping[str, str]

    def local(self) -> Sequence[Question]:
        """Those of a stack that runs here."""
        names = ["mlflow", "disk", "folder"]
        if self.spec.target == "compose":
            names = ["containers", "disk", "folder", "port"]
        elif self.spec.scenario == "server":
            names += ["port", "memory"]
            names += ["postgres"] if self.spec.database.engine == "postgres" else []
        return [self._question(name) for name in names]

    def in_account(self) -> Sequence[Question]:
        """Those of a stack that is driven from here."""
        return [self._question(name) for name in ("terraform", "provider", "disk", "folder")]

    def _question(self, name: str) -> Question:
        return Question(_LAYERS[name], getattr(self, f"_{name}"))

    def _mlflow(self) -> Verdict:
        return Verdict(self.mlflow) if self.mlflow else Verdict("not installed", "mlflow.missing")

    def _postgres(self) -> Verdict:
        try:
            found = postgres.find_binaries(self.layout.cluster)
            postgres.account_for(_existing(self.layout.root))
        except ProvisionError as error:
            return Verdict(error.message, "postgres.missing", {"step": error.next_step})
        return Verdict(str(found.program("postgres")))

    def _containers(self) -> Verdict:
        try:
            open_project(self.layout.root, self.environment)
        except MissingError as error:
            step = error.next_step.partition(";")[0]
            return Verdict(error.message, "containers.missing", {"step": step})
        return Verdict("it answers")

    def _port(self) -> Verdict:
        stored = StackRecord.from_json(workspace.read_json(self.layout.record))
        port = local_settings.port_for(self.spec, None, stored)
        host = str(self.spec.access.listen)
        if processes.supervisor_of(self.layout.root) is not None:
            return Verdict(f"{port}: the stack's own server runs")
        if stored is not None and stored.target == "compose":
            return Verdict(f"{port}: the stack's own")
        holder = processes.holder_of(host, port)
        if holder is not None:
            who = f"{holder.name} (process {holder.pid})" if holder.pid else holder.name
            free = str(processes.free_port(host, port + 1))
            facts = {"port": str(port), "holder": who, "free": free}
            return Verdict(f"{port}: {who}", "port.taken", facts)
        if port < 1024 and not processes.can_listen(host, port):
            return Verdict(f"{port}: not allowed", "port.privileged", {"port": str(port)})
        return Verdict(str(port))

    def _memory(self) -> Verdict:
        try:
            return Verdict(str(sizing.size(local_settings.wishes(self.spec), processes.machine())))
        except ProvisionError as error:
            return Verdict(error.message, "memory.too-small", {"step": error.next_step})

    def _disk(self) -> Verdict:
        folder = _existing(self.layout.root)
        free = workspace.free_bytes(folder)
        if free >= local_settings.LEAST_FREE_BYTES:
            return Verdict(f"{format_size(free)} free")
        facts = {
            "free": format_size(free), "needed": format_size(local_settings.LEAST_FREE_BYTES),
            "folder": str(folder),
        }  # fmt: skip
        return Verdict(f"{format_size(free)} free", "disk.full", facts)

    def _folder(self) -> Verdict:
        folder = _existing(self.layout.root)
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Verdict(str(folder))
        return Verdict(str(folder), "folder.not-writable", {"folder": str(folder)})

    def _terraform(self) -> Verdict:
        try:
            return Verdict(find_program(self.environment).version)
        except MissingError as error:
            return Verdict(error.message, "terraform.missing")

    def _provider(self) -> Verdict:
        try:
            return Verdict(provider_place(self.environment))
        except OSError as error:
            return Verdict(str(error), "provider.unreachable")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
