"""Backups of a stack on this machine: archives in a folder of its own, one for each name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.adapters import workspace
from provision.errors import UsageError
from provision.model.backups import Backup, named, newest_first

_MANIFEST: Final = "manifest.json"  # an archive's last file: where it is, the rest is


@dataclass(frozen=True)
class BackupFolder:
    """The folder that they are in; it goes with the stack's data."""

    path: Path

    def place(self, name: str) -> Path:
        """Where the one of that name is, or will be."""
        return self.path / name

    def new(self, name: str) -> Path:
        """A place for one that is to be made; raises `UsageError` where there is one already."""
        place = self.place(name)
        if (place / _MANIFEST).exists():
            raise UsageError(
                f"there is a backup {name} already",
                next_step="name another, or delete that one: provision backup --delete NAME",
            )
        return place

    def all(self) -> tuple[Backup, ...]:
        """Those that there are, the newest first."""
        return newest_first(self._found())

    def last_made(self) -> str:
        """When the newest whole one was made, without weighing any; empty without one."""
        if not self.path.is_dir():
            return ""
        manifests = (workspace.read_json(place / _MANIFEST) for place in self.path.iterdir())
        return max((str(found["created_at"]) for found in manifests if found), default="")

    def _found(self) -> Iterator[Backup]:
        if not self.path.is_dir():
            return
        for place in self.path.iterdir():
            manifest = workspace.read_json(place / _MANIFEST)
            made = manifest or {}
            yield Backup(
                name=place.name,
                at=str(made.get("created_at", "")),
                bytes=workspace.folder_size(place).bytes,
                ready=manifest is not None,
                where=str(place),
                mlflow_version=str(made.get("mlflow", "")),
            )

    def delete(self, name: str) -> Backup:
        """Delete one for good, whole or not. The user has agreed."""
        found = {backup.name: backup for backup in self.all()}
        backup = found[name] if name in found else named(found.values(), name)
        workspace.remove_folder(self.place(name))
        return backup
