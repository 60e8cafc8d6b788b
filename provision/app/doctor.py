"""`provision doctor`: whether this machine, and the account, have what a stack needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from provision.model.report import Finding, Outcome

_MISSING: Final = 5
_REFUSED: Final = 4
# What a guard refuses: nothing is missing, but it would happen in the wrong place.
_GUARDED: Final = ("session.other-account",)


@dataclass(frozen=True)
class DoctorResult:
    """What was looked at, in the order of the table."""

    name: str
    target: str
    ready: bool
    seconds: float
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """0 when `up` can work; else that of what would stop it."""
        if self.ready:
            return 0
        ids = {one.id for one in self.findings if one.outcome is Outcome.FAILED}
        return _REFUSED if ids <= set(_GUARDED) else _MISSING


def doctor_result(
    name: str, target: str, findings: Sequence[Finding], seconds: float
) -> DoctorResult:
    """The findings, and whether `up` can work."""
    ready = all(finding.outcome is not Outcome.FAILED for finding in findings)
    return DoctorResult(name, target, ready, round(seconds, 2), findings)
