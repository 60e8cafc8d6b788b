"""`rehearse`: the whole life of a stack in one command."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from provision import wiring_rehearsal
from provision.adapters import workspace
from provision.model import timeline
from provision.settings import read_settings
from provision.ui import Ui


def rehearse(arguments: Namespace, ui: Ui) -> int:
    """Live through it, and report; exit code 6 when a step failed."""
    settings = read_settings(arguments.file, arguments.state_dir)
    result = wiring_rehearsal.rehearse(settings, ui, boots=not arguments.no_boot)
    if arguments.picture:
        workspace.write_text(Path(arguments.picture), timeline.svg(result), mode=0o644)
    document = {
        "name": result.name,
        "passed": result.passed,
        "seconds": round(result.seconds, 1),
        "steps": result.steps,
    }
    ui.result("rehearse", document, "\n".join(result.lines()))
    return 0 if result.passed else 6
