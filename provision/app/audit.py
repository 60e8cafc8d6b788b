"""`provision audit`: what is wrong with a stack's safety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from provision.model.exposure import of_listening
from provision.model.findings.audit import LAYERS
from provision.model.holes import Holes
from provision.model.questions import Question, Verdict
from provision.model.report import Finding, Outcome, Severity

_CVE = next(layer for layer in LAYERS if layer.name == "cve")
_EXPOSURE = next(layer for layer in LAYERS if layer.name == "exposure")
UNKNOWN = "audit.not-known"


@dataclass(frozen=True)
class AuditResult:
    """All that was looked at; `severities` counts what is wrong, `mended` what `--fix` did."""

    name: str
    target: str
    passed: bool
    severities: Mapping[str, int]
    mended: Sequence[str]
    findings: Sequence[Finding]


def audit_result(
    name: str, target: str, findings: Sequence[Finding], mended: Sequence[str]
) -> AuditResult:
    """The findings, counted."""
    wrong = [f for f in findings if f.outcome in (Outcome.FAILED, Outcome.WARNING)]
    counts = Counter(str(f.severity) for f in wrong if f.severity)
    passed = all(finding.outcome is not Outcome.FAILED for finding in wrong)
    ordered = {str(rank): counts[rank] for rank in Severity if rank in counts}
    return AuditResult(name, target, passed, ordered, mended, findings)


def about_holes(table: Holes, version: str, today: date) -> Question:
    """What is known about the server's version."""
    return Question(_CVE, lambda: table.judged(version, today), unknown=UNKNOWN)


def about_listening(listen: str, *, accounts: bool, tls: bool = False) -> Question:
    """Who reaches a server on this machine."""

    def asked() -> Verdict:
        return of_listening(listen, accounts=accounts, tls=tls)

    return Question(_EXPOSURE, asked, unknown=UNKNOWN)
