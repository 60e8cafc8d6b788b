"""Looks for known secrets in files, texts and processes. Nothing of a secret leaves this module."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from provision.model.secrets import Secret

SHORTEST: Final = 8
"""Shorter words would be found by chance."""
_CHUNK: Final = 1 << 20
_LARGEST_ARCHIVE: Final = 64 << 20


@dataclass
class Search:
    """The secrets of a stack by name, as they are and in base64 (as in HTTP's basic auth)."""

    secrets: Mapping[str, Secret]
    _needles: list[tuple[str, bytes]] = field(init=False, repr=False)
    _overlap: int = field(init=False)

    def __post_init__(self) -> None:
        self._needles = [
            (name, needle)
            for name, secret in self.secrets.items()
            if len(secret.reveal()) >= SHORTEST
            for needle in _shapes(secret.reveal().encode())
        ]
        self._overlap = max((len(needle) for _, needle in self._needles), default=1) - 1

    def in_bytes(self, data: bytes) -> set[str]:
        """The names of the secrets in this."""
        return {name for name, needle in self._needles if needle in data}

    def in_text(self, text: str) -> set[str]:
        """The same for a text."""
        return self.in_bytes(text.encode("utf-8", "surrogateescape"))

    def in_file(self, path: Path) -> set[str]:
        """The same for a file of any size; a zip file (a saved plan) is also looked into."""
        found: set[str] = set()
        with path.open("rb") as handle:
            kept = b""
            while chunk := handle.read(_CHUNK):
                found |= self.in_bytes(kept + chunk)
                kept = chunk[-self._overlap :] if self._overlap else b""
        return found | self._in_archive(path)

    def _in_archive(self, path: Path) -> set[str]:
        if path.stat().st_size > _LARGEST_ARCHIVE or not zipfile.is_zipfile(path):
            return set()
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            parts = (archive.read(info) for info in archive.infolist())
            return set().union(*(self.in_bytes(part) for part in parts))

    def in_files(self, paths: Iterable[Path]) -> dict[str, set[str]]:
        """Secrets by the file that holds them; a file that went away meanwhile holds none."""
        found = {}
        for path in paths:
            try:
                names = self.in_file(path)
            except FileNotFoundError:
                continue
            if names:
                found[str(path)] = names
        return found


def _shapes(secret: bytes) -> Iterator[bytes]:
    """As it is, and the part of its base64 that is the same wherever in a longer text it stands."""
    yield secret
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret)
        core = text[-(-before * 8 // 6) : len(text) - 4]
        if len(core) >= SHORTEST:
            yield core


def files_below(folder: Path) -> list[Path]:
    """All files in a folder; none where it is not there."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def open_to_others(paths: Iterable[Path]) -> list[Path]:
    """Those that somebody else than their owner may read or enter."""
    return [path for path in paths if path.exists() and path.stat().st_mode & 0o077]


def close_to_others(paths: Iterable[Path]) -> None:
    """Take all rights of others away (mode 0600, folders 0700)."""
    for path in paths:
        path.chmod(path.stat().st_mode & 0o700)


def secrets_in(folder: Path) -> dict[str, Secret]:
    """The secrets in the files of a folder, by file name: each line with one is one.

    A file of passwords (`host:port:database:user:password`, PostgreSQL) and a setting
    (`name = value`) hold theirs at the end of a line.
    """
    found: dict[str, Secret] = {}
    for path in files_below(folder):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            word = _secret_of(line)
            if len(word) >= SHORTEST:
                name = f"{path.name}, {len(found)}" if path.name in found else path.name
                found[name] = Secret(word)
    return found


def _secret_of(line: str) -> str:
    text = line.strip()
    if " = " in text:
        name, _, value = text.partition(" = ")
        return value.strip() if "password" in name or "key" in name else ""
    if text.count(":") == 4:
        return text.rpartition(":")[2]
    return "" if text.startswith(("[", "#")) else text
