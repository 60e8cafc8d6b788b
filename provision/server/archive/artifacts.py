"""Where a store's artifacts come from and where they go: folders of this machine, or a bucket."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection, Table

from provision.errors import RefusedError
from provision.server.archive import files, manifest, sums
from provision.server.archive.rewriting import Change, Root, roots_of
from provision.server.archive.sums import Facts, Fetched
from provision.server.places import Place

if TYPE_CHECKING:
    from provision.server.archive.bucket import Bucket

Given = TypeVar("Given")
Made = TypeVar("Made")
Seen = Callable[[int], None]

MANY = 64
"""Requests to S3 at the same time: it answers each after tens of milliseconds."""
_AHEAD = 4  # tasks that wait for each one that is worked on


class Artifact(Protocol):
    """One file of a store."""

    @property
    def name(self) -> str:
        """Its path below the artifact folder of the copy."""

    def facts(self) -> Facts | None:
        """Its size and time; `None` when it is gone."""

    def fetch(self, spare: Path, seen: Seen) -> Fetched | None:
        """Copy it to `spare`; `None` when it is gone."""


@dataclass(frozen=True)
class Item:
    """An artifact to copy; with `digest`, what its content has to be."""

    artifact: Artifact
    digest: str = ""


class Origin(Protocol):
    """All artifacts of a store, and how its locations are served."""

    @property
    def at_once(self) -> int:
        """How many are worth copying at the same time."""

    def changes(self) -> list[Change]:
        """What makes its own locations served ones."""

    def all(self, skipped: Callable[[object], None]) -> Iterator[Artifact]:
        """Every artifact; what has no place in a copy is `skipped`."""


@dataclass(frozen=True)
class Folders:
    """Artifacts in folders of this machine."""

    roots: list[Root]
    at_once: int = 1

    def changes(self) -> list[Change]:
        """What makes locations below the folders served ones."""
        return [root.serves() for root in self.roots]

    def all(self, skipped: Callable[[object], None]) -> Iterator[Artifact]:
        """Every file; links that lead out of their folder are skipped."""
        return files.found_in(self.roots, skipped)


@dataclass(frozen=True)
class Objects:
    """Artifacts in a bucket."""

    bucket: Bucket
    at_once: int = MANY

    def changes(self) -> list[Change]:
        """What makes locations in the bucket's own part served ones."""
        return [self.bucket.served]

    def all(self, skipped: Callable[[object], None]) -> Iterator[Artifact]:
        """Every object; one whose key is no path of a file is skipped."""
        return self.bucket.all(skipped)


def spread(work: Callable[[Given], Made], items: Iterable[Given], at_once: int) -> Iterator[Made]:
    """The results in the items' order, several worked on at a time; few are kept in memory."""
    if at_once == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= at_once * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def spare_in(folder: Path) -> Path:
    """A file of this thread's own."""
    return folder / f"file-{threading.get_ident()}"


class Sink(Protocol):
    """Where artifacts go."""

    @property
    def at_once(self) -> int:
        """How many are worth copying at the same time."""

    def put(self, item: Item, seen: Seen) -> int:
        """Copy one; returns its bytes. Raises `RefusedError` where another one has its name."""


@dataclass(frozen=True)
class Folder:
    """A stack's artifact folder on this machine; `spares` is a folder on the same disk.

    With `replace`, what has the same name and other content is overwritten.
    """

    path: Path
    spares: Path
    at_once: int = 1
    replace: bool = False

    def put(self, item: Item, seen: Seen) -> int:
        """Copy one, unless it is there already."""
        place, spare = self.path / item.artifact.name, spare_in(self.spares)
        if place.exists() and item.digest and sums.of_file(place) == item.digest:
            return place.stat().st_size
        fetched = item.artifact.fetch(spare, seen)
        if fetched is None:
            return 0
        if item.digest and fetched.digest != item.digest:
            raise manifest.damaged(Path(item.artifact.name))
        if not place.exists():
            files.put_in_place(spare, place, fetched)
        elif sums.of_file(place) != fetched.digest:
            if not self.replace:
                raise _taken(str(place))
            files.put_in_place(spare, place, fetched)
        return place.stat().st_size


@dataclass(frozen=True)
class Part:
    """A stack's part of a bucket; `spares` is a folder of this machine, `replace` as above."""

    bucket: Bucket
    spares: Path
    at_once: int = MANY
    replace: bool = False

    def put(self, item: Item, seen: Seen) -> int:
        """Upload one, unless it is there already."""
        file, digest = self._at_hand(item)
        if file is None:
            return 0
        there = self.bucket.put(file, item.artifact.name, digest, seen)
        if there and not self._same(item.artifact.name, digest):
            if not self.replace:
                raise _taken(f"{self.bucket.uri}/{item.artifact.name}")
            self.bucket.remove_one(item.artifact.name)
            self.bucket.put(file, item.artifact.name, digest, seen)
        return file.stat().st_size

    def _at_hand(self, item: Item) -> tuple[Path | None, str]:
        """A file of this machine with its content, and its digest."""
        if isinstance(item.artifact, files.Found):
            if item.artifact.facts() is None:
                return None, ""
            return item.artifact.path, item.digest or sums.of_file(item.artifact.path)
        spare = spare_in(self.spares)
        fetched = item.artifact.fetch(spare, lambda _: None)
        return (None, "") if fetched is None else (spare, fetched.digest)

    def _same(self, name: str, digest: str) -> bool:
        noted = self.bucket.noted_digest(name)
        if noted:
            return noted == digest
        spare = spare_in(self.spares).with_suffix(".there")
        found = self.bucket.one(name).fetch(spare, lambda _: None)
        return found is not None and found.digest == digest


def _taken(place: str) -> RefusedError:
    return RefusedError(
        f"{place} is there already, with other content",
        next_step="move it away, then run this again; nothing was changed",
    )


def sink_of(place: Place, spares: Path, *, replace: bool = False) -> Sink:
    """Where a stack's artifacts belong; with `replace` over those of the same names."""
    if place.in_bucket:
        return Part(bucket(place), spares, replace=replace)
    return Folder(Path(place.artifacts), spares, replace=replace)


def origin_of(place: Place, connection: Connection, experiments: Table) -> Origin:
    """Where a stack's artifacts are."""
    if place.in_bucket:
        return Objects(bucket(place))
    return Folders(roots_of(connection, experiments, place))


def bucket(place: Place, uri: str = "") -> Bucket:
    """The bucket that a store's artifacts are in, or another part of its account (`uri`)."""
    from provision.server.archive.bucket import Bucket  # noqa: PLC0415 - loads boto3

    if place.environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(place.environment)
    return Bucket(uri or place.artifacts, place.region, place.owner)
