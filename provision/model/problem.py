"""One row of the table of what can be wrong; the tables are in the modules `findings*`."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.report import Outcome, Severity


@dataclass(frozen=True)
class Problem:
    """Something that can be wrong. `{names}` in the texts are facts of the case at hand."""

    id: str
    cause: str
    next_step: str
    outcome: Outcome = Outcome.FAILED
    severity: Severity = Severity.HIGH
