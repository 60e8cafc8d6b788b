"""SHA256SUMS: a line for each file, as `sha256sum -c` reads it, however its name is spelled.

A name with a newline or a backslash is escaped and its line begins with a backslash (coreutils'
manual, "sha2 utilities").
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from provision.errors import RefusedError

NAME = "SHA256SUMS"
CHUNK = 1 << 20


class Sum(NamedTuple):
    """A file of the archive, by its path below it, and its digest in hexadecimal."""

    path: str
    digest: str


class Facts(NamedTuple):
    """What tells one state of a file from another: bytes, and nanoseconds since 1970."""

    size: int
    mtime: int

    @classmethod
    def of(cls, found: os.stat_result) -> Facts:
        """Those of a file on a disk."""
        return cls(found.st_size, found.st_mtime_ns)


class Fetched(NamedTuple):
    """A file that was copied: the digest of what was read, and the facts of its source."""

    digest: str
    facts: Facts


def line(path: str, digest: str) -> bytes:
    """One line, newline included."""
    name = os.fsencode(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != name else b""
    return mark + digest.encode() + b"  " + escaped + b"\n"


def read(file: Path) -> Iterator[Sum]:
    """The lines of a file, one at a time; raises `RefusedError` for one that is none."""
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            yield _parse(raw.rstrip(b"\n"), file, number)


def _parse(raw: bytes, file: Path, number: int) -> Sum:
    escaped = raw.startswith(b"\\")
    digest, _, name = raw.removeprefix(b"\\").partition(b"  ")
    if escaped:
        name = _unescaped(name)
    path = os.fsdecode(name)
    parts = Path(path).parts
    if len(digest) != 64 or not parts or ".." in parts or path.startswith("/"):
        raise RefusedError(
            f"{file}:{number} is no line of an archive's list",
            next_step="use another copy of this archive",
        )
    return Sum(path, digest.decode("ascii", "replace"))


def _unescaped(name: bytes) -> bytes:
    whole = b"\\"
    parts = name.split(b"\\\\")
    return whole.join(part.replace(b"\\n", b"\n").replace(b"\\r", b"\r") for part in parts)


def of_file(path: Path) -> str:
    """The digest of a file, read in pieces."""
    digest = sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
