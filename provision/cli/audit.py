"""`audit`: secrets in the wrong place, open doors, rights too many, known holes."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from provision import wiring_audit
from provision.adapters import workspace
from provision.cli import doctor_texts
from provision.cli.context import open_stack
from provision.model.report import Finding
from provision.ui import Ui

_CHECK_FAILED = 6


def audit(arguments: Namespace, ui: Ui) -> int:
    """Look at everything; exit code 6 when something of high severity is wrong."""
    stack = open_stack(arguments)

    def show(finding: Finding) -> None:
        if not ui.as_json:
            ui.line(doctor_texts.line(finding, ui.paint))

    result = wiring_audit.audit(stack, show, fix=arguments.fix)
    if arguments.sarif:
        workspace.write_text(
            Path(arguments.sarif), wiring_audit.as_sarif(result, stack), mode=0o644
        )
    ui.result("audit", result, doctor_texts.audit_summary(result, ui.paint))
    return 0 if result.passed else _CHECK_FAILED
