"""Backups of a stack as straight lines: made, listed, deleted, gone back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from provision.app.data import DataWork
from provision.model.backups import BEFORE, Backup, last_made, name_at, named, require_name
from provision.targets.base import Progress, Target


class Backups(Protocol):
    """Where a stack's backups are, and how it goes back to one."""

    def make(self, name: str, progress: Progress, /) -> Backup:
        """Make one, whole when this returns."""

    def all(self) -> Sequence[Backup]:
        """Those that there are, the newest first."""

    def delete(self, name: str, /) -> Backup:
        """Delete one for good. The user has agreed."""

    def back_to(self, backup: Backup, progress: Progress, /) -> Sequence[str]:
        """Bring the stack back to one; what there is to know about it. The user has agreed."""


class InAnAccount(Protocol):
    """A target in an account, which knows its backups itself."""

    def backups(self) -> _Made:
        """The backups that there are."""

    def rewind(self, backup: Backup, progress: Progress, /) -> Sequence[str]:
        """Bring the stack back to one."""


class _Made(Protocol):
    def make(self, name: str, progress: Progress, /) -> Backup: ...

    def all(self) -> Sequence[Backup]: ...

    def delete(self, name: str, /) -> Backup: ...

    def has_new_program(self, backup: Backup, /) -> bool: ...

    @property
    def mlflow_version(self) -> str: ...


class Folder(Protocol):
    """A folder of archives."""

    def place(self, name: str, /) -> Path:
        """Where one is, or will be."""

    def new(self, name: str, /) -> Path:
        """A place for a new one."""

    def all(self) -> Sequence[Backup]:
        """Those that there are, the newest first."""

    def delete(self, name: str, /) -> Backup:
        """Delete one for good."""


@dataclass(frozen=True)
class AccountBackups:
    """Snapshots of a database in an account, with the versions of a bucket."""

    target: InAnAccount

    def make(self, name: str, progress: Progress) -> Backup:
        """See `Backups`."""
        return self.target.backups().make(name, progress)

    def all(self) -> Sequence[Backup]:
        """See `Backups`."""
        return self.target.backups().all()

    def delete(self, name: str) -> Backup:
        """See `Backups`."""
        return self.target.backups().delete(name)

    def back_to(self, backup: Backup, progress: Progress) -> Sequence[str]:
        """See `Backups`."""
        return self.target.rewind(backup, progress)


@dataclass(frozen=True)
class FolderBackups:
    """Archives on this machine, of a stack on it."""

    stack: str
    target: Target
    work: DataWork
    folder: Folder
    now: datetime

    def make(self, name: str, _progress: Progress) -> Backup:
        """See `Backups`. The server may serve on meanwhile."""
        self.work.archive(self.target, self.stack, self.folder.new(name), users=True)
        return named(self.folder.all(), name)

    def all(self) -> Sequence[Backup]:
        """See `Backups`."""
        return self.folder.all()

    def delete(self, name: str) -> Backup:
        """See `Backups`."""
        return self.folder.delete(name)

    def back_to(self, backup: Backup, _progress: Progress) -> Sequence[str]:
        """See `Backups`. Artifacts of later stay where they are, unseen."""
        before = BEFORE + name_at(self.now)
        place, new = self.folder.place(backup.name), self.folder.new(before)
        result = self.work.rewind(self.target, self.stack, place, new)
        return [
            *result.notes,
            f"as it was before: backup {before}",
            "artifacts of later runs are still on the disk: provision gc shows and deletes them",
        ]


@dataclass(frozen=True)
class BackupResult:
    """One backup of the stack `name`, that was made, deleted, or gone back to."""

    name: str
    backup: Backup
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class BackupList:
    """All backups of the stack `name`, the newest first."""

    name: str
    backups: Sequence[Backup]


def make(
    backups: Backups, stack: str, name: str | None, now: datetime, progress: Progress
) -> BackupResult:
    """Make one; without a name it is named by the time."""
    return BackupResult(stack, backups.make(require_name(name or name_at(now)), progress))


def listed(backups: Backups, stack: str) -> BackupList:
    """All of them."""
    return BackupList(stack, backups.all())


def delete(
    backups: Backups, stack: str, name: str, confirm: Callable[[Backup], None]
) -> BackupResult:
    """Delete one for good, once `confirm` has returned; one that is not whole too."""
    found = {backup.name: backup for backup in backups.all()}
    confirm(found[name] if name in found else named(found.values(), name))
    return BackupResult(stack, backups.delete(name))


def restore(
    backups: Backups,
    stack: str,
    name: str,
    confirm: Callable[[Backup], None],
    progress: Progress,
) -> BackupResult:
    """Bring the stack back to one, once `confirm` has returned."""
    backup = named(backups.all(), name)
    confirm(backup)
    return BackupResult(stack, backup, backups.back_to(backup, progress))


def last_backup(backups: Backups) -> str:
    """When the last whole backup was made (ISO 8601 in UTC); empty without any."""
    return last_made(backups.all())
