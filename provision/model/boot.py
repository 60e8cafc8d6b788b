"""The boot report: how far a host has come, written as it goes (`provision.boot/1`).

The host writes it to its disk and to the stack's bucket; `provision up` shows it live. Standard
library only: the host's own Python reads and writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

SCHEMA: Final = "provision.boot/1"

State = Literal["running", "ready", "failed"]
PhaseState = Literal["waiting", "running", "done", "unchanged", "failed"]

PHASES: Final[Mapping[str, str]] = {
    "role": "rights, names and clock of the machine",
    "system": "user, folders, memory, package sources",
    "bundle": "the program and its settings, from the bucket",
    "environment": "MLflow and what it needs",
    "database": "the database, its role and its tables",
    "account": "the admin's password",
    "settings": "the server's settings",
    "service": "the tracking server",
    "proxy": "HTTPS",
    "models": "models as services",
    "upkeep": "updates, logs and clean-up",
    "ready": "a client's way through everything",
}
"""The phases in their order, with titles for people."""


@dataclass(frozen=True)
class Phase:
    """One phase of one run. Times are ISO 8601 in UTC; `changed` says what this run made new."""

    name: str
    title: str
    state: PhaseState = "waiting"
    started_at: str | None = None
    ended_at: str | None = None
    cpu_seconds: float = 0.0
    changed: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run ended: what was being done, its last lines, the cause and what to do about it.

    `code` is stable, for programs; `command` is empty where no command failed.
    """

    phase: str
    code: str
    cause: str
    next_step: str
    command: str = ""
    tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class BootReport:
    """All of it. `run` counts the runs on this machine; the first one is 1."""

    instance: str
    run: int
    state: State
    started_at: str
    updated_at: str
    phases: tuple[Phase, ...]
    failure: Failure | None = None
    version: str = ""

    def phase(self, name: str) -> Phase:
        """The phase with this name; raises KeyError for a name that this report does not have."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def with_phase(self, phase: Phase) -> BootReport:
        """This report with one of its phases in a new state."""
        phases = tuple(phase if old.name == phase.name else old for old in self.phases)
        return replace(self, phases=phases)

    def to_json(self) -> str:
        """The report as it is stored."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> BootReport:
        """Read a report; fields that this version does not know are left out.

        Raises ValueError for text that is no report.
        """
        try:
            raw = json.loads(text)
            if raw["schema"] != SCHEMA:
                raise ValueError(f"its schema is {raw['schema']!r}, not {SCHEMA!r}")
            return cls(**_fields(cls, raw) | _parts(raw))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a boot report: {error!r}") from error


def first(instance: str, run: int, at: str, version: str = "") -> BootReport:
    """A report in which every phase waits."""
    phases = tuple(Phase(name, title) for name, title in PHASES.items())
    return BootReport(instance, run, "running", at, at, phases, version=version)


def report_key(instance: str) -> str:
    """Where the bucket keeps an instance's report."""
    return f"provision/boot/{instance}.json"


def log_key(instance: str) -> str:
    """Where the bucket keeps the last lines of an instance's boot log."""
    return f"provision/boot/{instance}.log"


CA_KEY: Final = "provision/public/ca.pem"
"""Where the bucket keeps the certificate of the host's own certificate authority."""


def _parts(raw: Mapping[str, Any]) -> dict[str, Any]:
    failure = raw.get("failure")
    return {
        "phases": tuple(Phase(**_fields(Phase, phase)) for phase in raw["phases"]),
        "failure": Failure(**_fields(Failure, failure)) if failure else None,
    }


def _fields(kind: Any, raw: Mapping[str, Any]) -> dict[str, Any]:
    known = kind.__dataclass_fields__
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in raw.items()
        if name in known
    }
