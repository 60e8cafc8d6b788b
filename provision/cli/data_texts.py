"""What `archive`, `restore`, `move` and `gc` print for people."""

from __future__ import annotations

from provision.app.data import CopyResult, GcResult
from provision.cli.status_texts import columns
from provision.model.units import amount

_SHOWN = ("experiments", "runs", "metrics", "traces", "registered_models", "model_versions")


def archived(result: CopyResult, user: str = "") -> str:
    """What the archive holds and how it is opened."""
    whole = f"what {user} has in {result.name}" if user else result.name
    head = f"{whole} is archived in {result.folder}, every row and every file checked"
    opens = "`mlflow server` in that folder opens it; provision restore puts it into a stack"
    return "\n".join([head, _figures(result), *result.notes, opens])


def restored(result: CopyResult) -> str:
    """What is in the stack now."""
    head = f"{result.name} holds all of {result.folder} now, every row checked"
    return "\n".join([head, _figures(result), *result.notes])


def moved(result: CopyResult, source: str) -> str:
    """What is in the other stack now."""
    head = f"{result.name} holds all of {source} now, every row checked; {source} is as it was"
    return "\n".join([head, _figures(result), *result.notes])


def _figures(result: CopyResult) -> str:
    rows = [(f"  {name.replace('_', ' ')}", f"{result.counts[name]:,}") for name in _SHOWN]
    size = f"{result.artifact_files:,} files, {amount(result.artifact_bytes)}"
    rows.append(("  artifacts", size))
    accounts = "not copied" if result.accounts is None else f"{result.accounts:,}"
    return columns([*rows, ("  accounts", accounts)])


def trash(result: GcResult) -> str:
    """What goes, by kind, and whether it can come back."""
    rows = columns(
        (f"  {item.what}", f"{item.number:,}", f"{item.files:,} files", amount(item.bytes))
        for item in result.items
        if item.number
    )
    return "\n".join([rows, *result.notes])


def collected(result: GcResult) -> str:
    """What went."""
    lines = [f"{result.name}: nothing to delete"]
    if not result.empty:
        lines = [f"{result.name}: deleted for good", trash(result)]
    if result.kept:
        lines.append(
            f"kept: {result.kept} that were deleted, but hold a registered model's version"
        )
    return "\n".join(lines)
