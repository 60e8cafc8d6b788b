"""What our own records say of a stack: `status --offline`. Part of the composition root.

Nothing is asked: no AWS, no server, no process table. It is to be nearly as fast as a bare Python,
so it imports no pydantic, YAML, boto or rich, and parses no spec: a cheap look at the spec's lines
`name:` and `target:` finds the stack, or the one record that there is does.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from provision.errors import MissingError
from provision.model.status import State, StatusResult
from provision.settings import Settings
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.record import StackRecord

_NOT_ASKED = "as of the last up, {when}; nothing was asked now"


def offline_status(settings: Settings) -> StatusResult:
    """The stack as it was recorded last.

    Raises `MissingError` where a named spec is not there, or neither spec nor records tell which
    stack is meant.
    """
    said = said_in(settings)
    name = said.get("name") or _only_stack(settings.state_dir) or default_stack(settings)
    root = settings.state_dir / name
    account = AwsRecord.from_json(read_record(AwsPaths.below(root).record))
    local = StackRecord.from_json(read_record(root / "stack.json"))
    target = said.get("target") or ("aws" if account else "local")
    if target in ("aws", "rehearsal"):
        return replace(_in_account(name, root, account), target=target)
    return StatusResult(name, target, *_NEW) if local is None else _here(local, root)


_NEW = (State.NEVER_STARTED, "provision up starts it")


def said_in(settings: Settings) -> dict[str, str]:
    """The values of the spec's plain lines `name:` and `target:`; whatever else it is, is left."""
    try:
        text = settings.spec_file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if settings.spec_required:
            raise MissingError(
                f"{settings.spec_file}: there is no such file",
                next_step="correct the path, or leave it out",
            ) from None
        return {}
    except (OSError, UnicodeDecodeError):
        return {}
    return {found[1]: found[3] for found in _LINE.finditer(text)}


# A key at the start of a line, and a name, as `model.naming` allows it.
_LINE = re.compile(
    r"^(name|target):[ \t]+(['\"]?)([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\2[ \t\r]*(?:#.*)?$", re.MULTILINE
)


def _only_stack(state_dir: Path) -> str | None:
    records = (*state_dir.glob("*/stack.json"), *state_dir.glob("*/aws/record.json"))
    names = {path.relative_to(state_dir).parts[0] for path in records}
    if len(names) > 1:
        raise MissingError(
            f"{state_dir} holds {len(names)} stacks, and no line `name:` tells which is meant: "
            f"{', '.join(sorted(names))}",
            next_step="give the spec a line `name: ...`, or leave --offline out",
        )
    return names.pop() if names else None


def default_stack(settings: Settings) -> str:
    """The name of a stack whose spec gives none."""
    from provision.model.naming import default_name  # noqa: PLC0415 - loads OpenSSL

    return default_name(settings.spec_file.parent.resolve().name)


def read_record(path: Path) -> dict[str, Any] | None:
    """As `adapters.workspace.read_json`, which imports more than this command may."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _in_account(name: str, root: Path, record: AwsRecord | None) -> StatusResult:
    if record is None or not record.applied_at:
        begun = AwsPaths.below(root).ledger.exists()
        detail = "a run did not finish: provision up" if begun else _NEW[1]
        place = record.place if record else ""
        return StatusResult(name, "aws", State.NEVER_STARTED, detail, place=place)
    from provision.model.outputs import Outputs  # noqa: PLC0415 - only where there are any

    return StatusResult(
        name,
        "aws",
        State.UNKNOWN,
        _NOT_ASKED.format(when=record.applied_at),
        uri=Outputs.from_json(record.outputs).tracking_uri(scheme="https"),
        mlflow_version=record.mlflow_version or None,
        place=record.place,
    )


def _here(record: StackRecord, root: Path) -> StatusResult:
    return StatusResult(
        record.name,
        record.target,
        State.UNKNOWN,
        "as recorded by up; whether it runs was not looked at",
        uri=record.uri or _store(root),
        mlflow_version=record.mlflow_version or None,
        sizing=record.sizing,
    )


def _store(root: Path) -> str:
    from provision.model.clients import sqlite_uri  # noqa: PLC0415 - only without a server
    from provision.model.layout import Layout  # noqa: PLC0415

    return sqlite_uri(Layout.below(root.parent, root.name).sqlite_file)
