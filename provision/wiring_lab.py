"""What a rehearsal needs of this machine, as `doctor` asks it. Part of the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters import processes, workspace
from provision.emulator.lab import image, needs
from provision.emulator.lab.client import cache_folder
from provision.errors import MissingError
from provision.model.findings.preflight import MACHINE_LAYERS
from provision.model.questions import Question, Verdict
from provision.model.units import format_size

_LAYERS: Final = {layer.name: layer for layer in MACHINE_LAYERS}
# Estimates: a machine with its server at work, its database, the emulated account and Terraform
# (about 1.1 GB of disk were measured).
MEMORY_BYTES: Final = 2 * 2**30
DISK_BYTES: Final = 3 * 2**30


@dataclass(frozen=True)
class LabQuestions:
    """The questions of a rehearsal whose stack has the folder `root`."""

    root: Path
    environment: Mapping[str, str]

    def all(self) -> Sequence[Question]:
        """One for each thing that can be missing by itself."""
        asked: dict[str, Callable[[], Verdict]] = {
            "lab-rights": lambda: _required(needs.require_rights, "lab-rights.missing"),
            "lab-programs": lambda: _required(needs.require_programs, "lab-programs.missing"),
            "lab-image": self._image,
            "lab-memory": _memory,
            "lab-disk": self._disk,
        }
        return [Question(_LAYERS[name], ask) for name, ask in asked.items()]

    def _image(self) -> Verdict:
        folder = cache_folder(self.environment)
        if image.is_made(folder):
            return Verdict(str(folder))
        return Verdict("not yet", "lab-image.to-make", {"folder": str(folder)})

    def _disk(self) -> Verdict:
        folder = next(path for path in (self.root, *self.root.parents) if path.exists())
        free = workspace.free_bytes(folder)
        facts = {
            "free": format_size(free),
            "needed": format_size(DISK_BYTES),
            "folder": str(folder),
        }
        problem = "lab-disk.full" if free < DISK_BYTES else ""
        return Verdict(f"{facts['free']} free", problem, facts)


def _memory() -> Verdict:
    free = processes.available_memory()
    facts = {"free": format_size(free), "needed": format_size(MEMORY_BYTES)}
    problem = "lab-memory.too-small" if free < MEMORY_BYTES else ""
    return Verdict(f"{facts['free']} available", problem, facts)


def _required(require: Callable[[], None], problem: str) -> Verdict:
    try:
        require()
    except MissingError as error:
        return Verdict(error.message, problem, {"why": error.message, "step": error.next_step})
    return Verdict("yes")
