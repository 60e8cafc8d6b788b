"""What the last `provision audit` of a stack found: kept in its folder, for `status`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from provision.adapters import workspace
from provision.model.status import Security
from provision.targets.aws_record import AwsPaths

SCHEMA: Final = "provision.last-audit/1"


def write(root: Path, *, in_account: bool, security: Security) -> None:
    """Keep it in the stack's folder `root`, with what goes when the stack does."""
    document = {
        "schema": SCHEMA,
        "at": security.at,
        "passed": security.passed,
        "severities": dict(security.severities),
    }
    workspace.write_json(_file(root, in_account=in_account), document)


def read(root: Path, *, in_account: bool) -> Security:
    """What was kept; that of a stack that was never audited where there is nothing readable."""
    found = workspace.read_json(_file(root, in_account=in_account))
    if found is None or found.get("schema") != SCHEMA:
        return Security()
    return Security(str(found["at"]), bool(found["passed"]), _counts(found["severities"]))


def _file(root: Path, *, in_account: bool) -> Path:
    return (AwsPaths.below(root).root if in_account else root) / "audit.json"


def _counts(value: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in value.items()}
