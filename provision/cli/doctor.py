"""`doctor`: what `up` would stumble over, with its fix, before it does."""

from __future__ import annotations

from argparse import Namespace

from provision import wiring_doctor
from provision.cli import doctor_texts
from provision.cli.context import open_stack
from provision.model.report import Finding
from provision.ui import Ui


def doctor(arguments: Namespace, ui: Ui) -> int:
    """Ask everything at once; exit code 5 when something is missing."""
    stack = open_stack(arguments)

    def show(finding: Finding) -> None:
        if not ui.as_json:
            ui.line(doctor_texts.line(finding, ui.paint))

    result = wiring_doctor.doctor(stack, show)
    ui.result("doctor", result, doctor_texts.summary(result, ui.paint))
    return result.exit_code
