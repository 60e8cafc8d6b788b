"""The composition root for a stack's backups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from provision import wiring_data
from provision.app import backups
from provision.model.backups import Backup
from provision.targets.aws import AwsTarget
from provision.targets.backup_folder import BackupFolder
from provision.targets.base import Progress
from provision.wiring import OpenedStack


def of(stack: OpenedStack, progress: Progress) -> backups.Backups:
    """Where the stack's backups are, by its rung."""
    if isinstance(stack.target, AwsTarget):
        return backups.AccountBackups(stack.target)
    folder = BackupFolder(stack.layout.backups / "points")
    work = wiring_data.work(stack, progress)
    return backups.FolderBackups(stack.spec.name, stack.target, work, folder, datetime.now(UTC))


def make(stack: OpenedStack, name: str | None, progress: Progress) -> backups.BackupResult:
    """Make a backup."""
    now = datetime.now(UTC)
    return backups.make(of(stack, progress), stack.spec.name, name, now, progress)


def listed(stack: OpenedStack, progress: Progress) -> backups.BackupList:
    """All backups, the newest first."""
    return backups.listed(of(stack, progress), stack.spec.name)


def delete(
    stack: OpenedStack, name: str, confirm: Callable[[Backup], None], progress: Progress
) -> backups.BackupResult:
    """Delete one for good, once `confirm` has returned."""
    return backups.delete(of(stack, progress), stack.spec.name, name, confirm)


def restore(
    stack: OpenedStack, name: str, confirm: Callable[[Backup], None], progress: Progress
) -> backups.BackupResult:
    """Bring the stack back to one, once `confirm` has returned."""
    found = of(stack, progress)
    result = backups.restore(found, stack.spec.name, name, confirm, progress)
    stack.remember_if_known()
    return result


def last_backup(stack: OpenedStack, progress: Progress) -> str:
    """When the stack's last whole backup was made (ISO 8601 in UTC); empty without any.

    In an account that is two questions to AWS.
    """
    return backups.last_backup(of(stack, progress))
