"""`doctor` as text: a table that grows, line by line."""

from __future__ import annotations

from collections.abc import Callable

from provision.app.doctor import DoctorResult
from provision.cli.texts import SIGNS
from provision.model.report import Finding, Outcome

Paint = Callable[[str, str], str]


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
