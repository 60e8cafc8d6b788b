"""What was deleted out of a versioned bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provision.model.units import amount


@dataclass(frozen=True)
class Emptied:
    """What went: versions with their bytes, delete markers, and uploads that never ended."""

    versions: int = 0
    bytes: int = 0
    markers: int = 0
    uploads: int = 0

    def __add__(self, other: Emptied) -> Emptied:
        return Emptied(
            self.versions + other.versions,
            self.bytes + other.bytes,
            self.markers + other.markers,
            self.uploads + other.uploads,
        )

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to delete."""
        return not (self.versions or self.markers or self.uploads)

    def __str__(self) -> str:
        return ", ".join(self._parts()) or "nothing"

    def _parts(self) -> Iterator[str]:
        if self.versions:
            objects = "1 version of an object" if self.versions == 1 else ""
            yield f"{objects or f'{self.versions:,} versions of objects'} ({amount(self.bytes)})"
        if self.markers:
            yield f"{self.markers:,} delete marker{'' if self.markers == 1 else 's'}"
        if self.uploads:
            yield f"{self.uploads:,} unfinished upload{'' if self.uploads == 1 else 's'}"
