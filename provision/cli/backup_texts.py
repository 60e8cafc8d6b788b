"""What `backup` and `restore --from-backup` print for people."""

from __future__ import annotations

from provision.app.backups import BackupList, BackupResult
from provision.cli.status_texts import columns
from provision.model.backups import Backup
from provision.model.units import amount


def made(result: BackupResult) -> str:
    """What there is now, and how to go back to it."""
    backup = result.backup
    return "\n".join(
        [
            f"{result.name} has the backup {backup.name} (at most {amount(backup.bytes)})",
            f"  {backup.where}",
            *_whole(backup),
            f"provision restore --from-backup {backup.name} brings {result.name} back to it",
        ]
    )


def _whole(backup: Backup) -> list[str]:
    if backup.whole_until is None:
        return []
    return [f"  artifacts that are deleted or overwritten now are kept until {_day(backup)}"]


def _day(backup: Backup) -> str:
    return (backup.whole_until or "")[:10]


def listed(result: BackupList) -> str:
    """One line for each."""
    if not result.backups:
        return f"{result.name} has no backup; provision backup makes one"
    rows = [("backup", "made (UTC)", "at most", "MLflow", "artifacts until")]
    rows += [
        (
            backup.name,
            backup.at[:19].replace("T", " ") if backup.ready else "not whole",
            amount(backup.bytes),
            backup.mlflow_version or "-",
            _day(backup) or "-",
        )
        for backup in result.backups
    ]
    return columns(rows)


def deletes(_: str, backup: Backup) -> str:
    """What is asked before one is deleted."""
    return f"This deletes the backup {backup.name} for good: {backup.where}"


def deleted(result: BackupResult) -> str:
    """What went."""
    return f"{result.name}: the backup {result.backup.name} is deleted"


def replaces(stack: str, backup: Backup) -> str:
    """What is asked before a stack goes back."""
    at = backup.at[:19].replace("T", " ")
    return (
        f"This brings {stack} back to {at} UTC (backup {backup.name}): what was logged, changed or "
        "deleted since is undone, accounts and passwords too. How it is now is kept as a backup of "
        "its own first. Its server stands still meanwhile."
    )


def restored(result: BackupResult) -> str:
    """What the stack is now."""
    backup = result.backup
    head = f"{result.name} is as it was at {backup.at[:19].replace('T', ' ')} UTC ({backup.name})"
    return "\n".join([head, *result.notes])
