"""What a check found: one finding per layer, each with its cause and next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one layer fared. A layer behind a broken one is `not_reached`, never blamed."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    NOT_REACHED = "not_reached"


class Severity(StrEnum):
    """How much a problem matters.

    `critical`: strangers get in, or data is about to be lost. `high`: it does not work, or will
    not. `medium`: it works and should not stay so. `low`: worth knowing.
    """

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Finding:
    """One layer looked at. `id` is stable and documented; `milliseconds` is wall time.

    `severity` is that of the problem, `None` where there is none; `page` explains it.
    """

    id: str
    title: str
    outcome: Outcome
    observed: str
    cause: str = ""
    next_step: str = ""
    milliseconds: float = 0.0
    severity: Severity | None = None
    page: str = ""


@dataclass(frozen=True)
class Report:
    """All findings about one endpoint, in the order of the layers."""

    uri: str
    findings: Sequence[Finding]

    @property
    def first_failure(self) -> Finding | None:
        """The broken layer to mend first, if any."""
        return next((f for f in self.findings if f.outcome is Outcome.FAILED), None)

    @property
    def passed(self) -> bool:
        """True when no layer failed."""
        return self.first_failure is None
