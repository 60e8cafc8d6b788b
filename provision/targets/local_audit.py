"""The audit of a stack on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.adapters.searching import Search, files_below, secrets_in
from provision.model.layout import Layout
from provision.model.questions import Question
from provision.targets.compose_folder import folder
from provision.targets.secret_questions import SecretsHere, all_below


def private_files(layout: Layout) -> list[Path]:
    """What nobody else on this machine may read."""
    return [
        *all_below(layout.secrets, layout.people),
        *(path for path in (layout.record, layout.settings_file, _env(layout)) if path.exists()),
    ]


def _env(layout: Layout) -> Path:
    """The one file of a stack in containers that holds its secrets."""
    return folder(layout) / ".env"


def secrets_of(layout: Layout) -> Search:
    """All secrets of a local stack that are known."""
    return Search({**secrets_in(layout.secrets), **secrets_in(layout.people)})


def questions(layout: Layout, spec_folder: Path) -> Sequence[Question]:
    """Those about secrets: where they should not be."""
    here = SecretsHere(secrets_of(layout), spec_folder, private_files(layout))
    logs = [*files_below(layout.logs), *files_below(layout.models)]
    records = [*files_below(layout.run), *([layout.record] if layout.record.exists() else [])]
    records += [path for path in files_below(folder(layout)) if path != _env(layout)]
    return [
        here.files("in-log", "logs", logs),
        here.files("in-record", "records", records),
        *here.everywhere(environment=not _env(layout).exists()),
    ]
