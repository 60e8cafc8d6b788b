"""`doctor` and `audit` as text: a table that grows, line by line."""

from __future__ import annotations

from collections.abc import Callable

from provision.app.audit import AuditResult
from provision.app.doctor import DoctorResult
from provision.cli.texts import SIGNS
from provision.model.report import Finding, Outcome

Paint = Callable[[str, str], str]
_RANKS = ("critical", "high", "medium", "low")


def line(finding: Finding, paint: Paint) -> str:
    """One thing looked at; what is wrong with it, and what to do, below."""
    style, sign = SIGNS[finding.outcome]
    row = f"{paint(style, sign)}  {finding.title:<38} {finding.observed}".rstrip()
    if finding.outcome not in (Outcome.FAILED, Outcome.WARNING):
        return row
    return f"{row}\n{'':6}{finding.id}: {finding.cause}\n{'':6}next step: {finding.next_step}"


def summary(result: DoctorResult, paint: Paint) -> str:
    """Whether `up` can work, after how long."""
    count = len(result.findings)
    if result.ready:
        words = f"{result.name} can come up: {count} things looked at in {result.seconds:.1f} s"
        return paint("good", words)
    failed = sum(finding.outcome is Outcome.FAILED for finding in result.findings)
    return paint("bad", f"{result.name} cannot come up: {failed} of {count} things are wrong")


def audit_summary(result: AuditResult, paint: Paint) -> str:
    """What was mended, and how much of which severity is wrong."""
    done = [f"mended: {path}" for path in result.mended]
    count = len(result.findings)
    if not result.severities:
        return "\n".join([*done, paint("good", f"{count} things looked at, nothing found")])
    ranks = [(name, result.severities[name]) for name in _RANKS if name in result.severities]
    words = ", ".join(f"{number} {name}" for name, number in ranks)
    style = "warn" if result.passed else "bad"
    return "\n".join([*done, paint(style, f"{count} things looked at, found: {words}")])
