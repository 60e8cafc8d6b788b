"""A report as SARIF 2.1.0 (OASIS): what code hosts and CI show as security findings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

from provision.model.problem import Problem
from provision.model.report import Finding, Outcome, Severity

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS: Final = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}  # fmt: skip
# GitHub sorts by this number (Code scanning, "SARIF support": over 9.0 critical, 7.0 high, 4.0
# medium).
_WEIGHTS: Final = {
    Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0",
}  # fmt: skip


def sarif(
    findings: Sequence[Finding], problems: Sequence[Problem], version: str, spec: str
) -> dict[str, Any]:
    """The document. `spec` is the spec's path as the repository has it: every result names it."""
    rules = [_rule(problem) for problem in problems]
    numbers = {problem.id: number for number, problem in enumerate(problems)}
    wrong = [f for f in findings if f.outcome in (Outcome.FAILED, Outcome.WARNING)]
    driver = {"name": "provision", "semanticVersion": version, "rules": rules}
    results = [_result(finding, numbers, spec) for finding in wrong]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints",
                  "results": results}],
    }  # fmt: skip


def _rule(problem: Problem) -> dict[str, Any]:
    cause, step = _general(problem.cause), _general(problem.next_step)
    return {
        "id": problem.id,
        "shortDescription": {"text": cause.partition(". ")[0]},
        "fullDescription": {"text": cause},
        "help": {"text": step},
        "defaultConfiguration": {"level": _LEVELS[problem.severity]},
        "properties": {"tags": ["security"], "security-severity": _WEIGHTS[problem.severity]},
    }


def _general(text: str) -> str:
    """A text of the table without a case's facts; braces mean something to SARIF itself."""
    return re.sub(r"\{([^}]*)\}", r"<\1>", text)


def _result(finding: Finding, numbers: dict[str, int], spec: str) -> dict[str, Any]:
    severity = finding.severity or Severity.LOW
    text = f"{finding.cause} {finding.next_step}"
    mark = hashlib.sha256(f"{finding.id} {finding.cause}".encode()).hexdigest()
    where = {"artifactLocation": {"uri": spec}, "region": {"startLine": 1}}
    found: dict[str, Any] = {
        "ruleId": finding.id,
        "level": _LEVELS[severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": where}],
        "partialFingerprints": {"finding/v1": mark},
    }
    number = numbers.get(finding.id)
    return found if number is None else {**found, "ruleIndex": number}
