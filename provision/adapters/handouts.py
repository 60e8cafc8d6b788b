"""The door to hand-outs: folders that only their owner can read, and zips of them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from provision.errors import MissingError

_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of zip files: the same content makes the same file


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by file name, each of mode 0600, in a folder of mode 0700."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            _write(folder / name, text.encode())
    except OSError as error:
        raise _not_written(folder, error) from error


def write_zip(path: Path, files: Mapping[str, str]) -> None:
    """Write texts by their paths into one zip of mode 0600."""
    try:
        with os.fdopen(_opened(path), "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
            for name, text in files.items():
                entry = zipfile.ZipInfo(name, _FIRST_DAY)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o600 << 16
                archive.writestr(entry, text.encode())
    except OSError as error:
        raise _not_written(path, error) from error


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(_opened(path), "wb") as stream:
        stream.write(content)


def _opened(path: Path) -> int:
    # Made anew: an older file may be readable for others, or be a link to somewhere else.
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _not_written(path: Path, error: OSError) -> MissingError:
    return MissingError(
        f"cannot write {error.filename or path}: {error.strerror}",
        next_step="choose another folder, or make room there; then run this again",
    )
