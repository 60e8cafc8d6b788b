"""The audit of a stack on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.adapters.searching import Search, files_below, secrets_in
from provision.model.layout import Layout
from provision.model.questions import Question
from provision.targets.secret_questions import SecretsHere, all_below


def private_files(layout: Layout) -> list[Path]:
    """What nobody else on this machine may read."""
    return [
        *all_below(layout.secrets, layout.people),
        *(path for path in (layout.record, layout.settings_file) if path.exists()),
    ]


def secrets_of(layout: Layout) -> Search:
    """All secrets of a local stack that are known."""
    return Search({**secrets_in(layout.secrets), **secrets_in(layout.people)})


def questions(layout: Layout, spec_folder: Path) -> Sequence[Question]:
    """Those about secrets: where they should not be."""
    here = SecretsHere(secrets_of(layout), spec_folder, private_files(layout))
    logs = [*files_below(layout.logs), *files_below(layout.models)]
    records = [*files_below(layout.run), *([layout.record] if layout.record.exists() else [])]
    return [
        here.files("in-log", "logs", logs),
        here.files("in-record", "records", records),
        *here.everywhere(),
    ]
