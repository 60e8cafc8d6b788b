"""Artifact files: copied one at a time, hashed while they are read, whole or not at all."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from provision.server.archive.rewriting import Root
from provision.server.archive.sums import CHUNK, Facts, Fetched

_TRIES = 5
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Found:
    """A file of a store: where it is, and its path below the artifact folder of the copy."""

    path: Path
    name: str

    def facts(self) -> Facts | None:
        """Its size and time; `None` when it is gone."""
        try:
            return Facts.of(self.path.stat())
        except FileNotFoundError:
            return None

    def fetch(self, spare: Path, seen: Callable[[int], None]) -> Fetched | None:
        """Copy it to `spare`; `None` when it is gone.

        One that changes while it is read is read again: a client may be uploading it just now.
        """
        for number in range(_TRIES):
            try:
                before = Facts.of(self.path.stat())
                digest = _read_into(self.path, spare, seen if number == 0 else lambda _: None)
                after = Facts.of(self.path.stat())
            except FileNotFoundError:
                return None
            if before == after:
                break
            time.sleep(_PAUSE_SECONDS)
        return Fetched(digest, after)


def found_in(roots: list[Root], skipped: Callable[[Path], None]) -> Iterator[Found]:
    """Every file below the roots; links that lead out of their root are `skipped`.

    A folder of one root that is itself another root comes once, under its longer name.
    """
    others = {root.folder for root in roots}
    for root in roots:
        for part in root.parts():
            for path in _walk(part, others - {root.folder}):
                if not _inside(path, root.folder):
                    skipped(path)
                    continue
                relative = path.relative_to(root.folder).as_posix()
                yield Found(path, f"{root.prefix}/{relative}" if root.prefix else relative)


def _walk(top: Path, without: set[Path]) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        place = Path(folder)
        folders[:] = sorted(name for name in folders if place / name not in without)
        for name in sorted(names):
            yield place / name


def _inside(path: Path, root: Path) -> bool:
    """Whether it is a regular file, or a link to one below `root`."""
    try:
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind):
            return True
        return (
            stat.S_ISLNK(kind) and path.is_file() and path.resolve().is_relative_to(root.resolve())
        )
    except OSError:
        return True  # gone by now, or not readable: copying it says so


def put_in_place(spare: Path, target: Path, fetched: Fetched) -> None:
    """Let a fetched file appear under its name, whole, with the time that its source has."""
    os.utime(spare, ns=(fetched.facts.mtime, fetched.facts.mtime))
    target.parent.mkdir(parents=True, exist_ok=True)
    spare.replace(target)


def _read_into(source: Path, spare: Path, seen: Callable[[int], None]) -> str:
    digest = sha256()
    with source.open("rb") as reading, spare.open("wb") as writing:
        while piece := reading.read(CHUNK):
            digest.update(piece)
            writing.write(piece)
            seen(len(piece))
    return digest.hexdigest()


def sync_everything() -> None:
    """Have the system write out what it holds: one call instead of one for each small file."""
    os.sync()
