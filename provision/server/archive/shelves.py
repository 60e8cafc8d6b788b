"""Artifact folders of a store, in a folder of this machine or in a bucket: found, weighed, removed.

Folders are named by their path below the store's root, with `/`; no name leads out of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from provision.server import locations
from provision.server.archive import artifacts
from provision.server.places import Place

if TYPE_CHECKING:
    from provision.server.archive.bucket import Bucket

_RUN = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"m-[0-9a-f]{32}")
_TRACE = re.compile(r"tr-[0-9a-f]{32}")


class Shelf(Protocol):
    """All artifacts of a store, as folders in folders."""

    @property
    def at_once(self) -> int:
        """How many folders are worth asking for at the same time."""

    def name_of(self, location: str) -> str | None:
        """The folder behind a location of the database; `None` where it is elsewhere."""

    def folders(self, name: str) -> list[str]:
        """The names of the folders in one, without those that lead there; `""` is the root."""

    def files(self, name: str) -> Iterator[tuple[str, int]]:
        """All files below a folder, with their bytes; none when it is not there."""

    def remove(self, name: str) -> None:
        """Delete a folder with all that is in it, or nothing when it is not there."""


@dataclass(frozen=True)
class Disk:
    """A folder of this machine."""

    root: Path
    at_once: int = 1

    def name_of(self, location: str) -> str | None:
        """A `file://` URI, a path or a served location; not the root itself."""
        local = locations.localiser(self.root, "")(location) or location
        path = locations.local_path(local)
        if path is None or path == self.root or not path.is_relative_to(self.root):
            return None
        return path.relative_to(self.root).as_posix()

    def folders(self, name: str) -> list[str]:
        """Links are no folders: what they lead to is somebody's own."""
        place = self.root / name
        if not place.is_dir():
            return []
        return sorted(e.name for e in place.iterdir() if e.is_dir() and not e.is_symlink())

    def files(self, name: str) -> Iterator[tuple[str, int]]:
        """All files, links as such."""
        for parent, _, found in os.walk(self.root / name):
            below = Path(parent).relative_to(self.root)
            yield from ((f"{below / n}", (Path(parent) / n).lstat().st_size) for n in found)

    def remove(self, name: str) -> None:
        """What cannot be deleted stays, as a folder of nothing for the next time."""
        shutil.rmtree(self.root / name, ignore_errors=True)


@dataclass(frozen=True)
class Stock:
    """A store's part of a bucket; what is removed there is hidden by delete markers."""

    bucket: Bucket
    at_once: int = artifacts.MANY

    def name_of(self, location: str) -> str | None:
        """An `s3://` URI or a served location; not the root itself, and none that climbs."""
        served = self.bucket.served(location) or location
        if not served.startswith(locations.SCHEME) or served.startswith(locations.SCHEME + "/"):
            return None
        name = served.removeprefix(locations.SCHEME).strip("/")
        return name if name and not {"", ".", ".."} & set(name.split("/")) else None

    def folders(self, name: str) -> list[str]:
        """What S3 calls common prefixes."""
        return self.bucket.folders(name)

    def files(self, name: str) -> Iterator[tuple[str, int]]:
        """All objects, whatever their keys look like."""
        return self.bucket.below(name)

    def remove(self, name: str) -> None:
        """All objects below it."""
        self.bucket.remove(name)


def shelf_of(place: Place) -> Shelf:
    """Where a store keeps its artifacts."""
    if place.in_bucket:
        return Stock(artifacts.bucket(place))
    return Disk(Path(place.artifacts))


def made_by_mlflow(shelf: Shelf) -> Iterator[tuple[str, str, str]]:
    """Folders that look like those which MLflow makes: the table that would know it, id, name."""
    numbers = [name for name in shelf.folders("") if name.isdigit()]
    for found in artifacts.spread(lambda number: _in(shelf, number), numbers, shelf.at_once):
        yield from found


def _in(shelf: Shelf, number: str) -> list[tuple[str, str, str]]:
    """In the folder of one experiment."""
    kinds = (("runs", "", _RUN), ("logged_models", "/models", _MODEL),
             ("trace_info", "/traces", _TRACE))  # fmt: skip
    return [
        (table, id_, f"{number}{part}/{id_}")
        for table, part, pattern in kinds
        for id_ in shelf.folders(number + part)
        if pattern.fullmatch(id_)
    ]


def weight(shelf: Shelf, names: Iterable[str], without: Collection[str] = ()) -> tuple[int, int]:
    """Files and bytes of folders; what is below one of `without` is not counted."""

    def weigh(name: str) -> tuple[int, int]:
        sizes = [size for file, size in shelf.files(name) if not _below(file, without)]
        return len(sizes), sum(sizes)

    found = list(artifacts.spread(weigh, names, shelf.at_once))
    return sum(files for files, _ in found), sum(size for _, size in found)


def _below(name: str, folders: Collection[str]) -> bool:
    return bool(folders) and any(str(p) in folders for p in PurePosixPath(name).parents)
