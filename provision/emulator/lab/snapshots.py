"""Snapshots of the rehearsed databases: whole copies, roles and passwords included."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

_PART: Final = ".part"


class Copied(Protocol):
    """A database that can be copied while it serves."""

    @property
    def runs(self) -> bool:
        """Whether it serves."""

    def copy_to(self, folder: Path) -> None:
        """Its data as of one moment, into a new folder."""


class Snapshots:
    """Those of one rehearsal, each a folder that PostgreSQL could start in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def follow(self, wanted: Mapping[str, str], databases: Mapping[str, Copied]) -> None:
        """Take those that are new, of databases that serve, and forget those that are gone."""
        self._folder.mkdir(exist_ok=True, mode=0o711)
        for name, identifier in wanted.items():
            database = databases.get(identifier)
            if name not in self.names and database is not None and database.runs:
                part = self._folder / f"{name}{_PART}"
                shutil.rmtree(part, ignore_errors=True)
                database.copy_to(part)
                part.rename(self._folder / name)
        for name in self.names - set(wanted):
            shutil.rmtree(self._folder / name)

    @property
    def names(self) -> set[str]:
        """Those that are whole."""
        return {path.name for path in self._folder.glob("*") if path.suffix != _PART}

    def give(self, name: str, data: Path) -> None:
        """Put a copy of one where a database keeps its data."""
        shutil.copytree(self._folder / name, data, symlinks=True)
