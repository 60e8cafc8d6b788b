"""Files that are whole or not there, with owner and mode; and whether writing changed them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o644, owner: str = "", group: str = "") -> bool:
    """Leave a file with this content, mode and owner; returns whether anything was different.

    A reader sees the old file or the new one, and a crash leaves one of them.
    """
    if _is_there(path, text, mode, owner, group):
        return False
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.chmod(mode)
    own(part, owner, group)
    part.replace(path)
    return True


def _is_there(path: Path, text: str, mode: int, owner: str, group: str) -> bool:
    try:
        state = path.lstat()
        same = path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
    return same and state.st_mode & 0o7777 == mode and _owned(path, owner, group)


def folder(path: Path, mode: int = 0o755, owner: str = "", group: str = "") -> bool:
    """Leave a folder with this mode and owner; returns whether anything was different."""
    if path.is_dir() and path.stat().st_mode & 0o7777 == mode and _owned(path, owner, group):
        return False
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    own(path, owner, group)
    return True


def own(path: Path, owner: str, group: str) -> None:
    """Give a file to somebody; only root can, and in a rehearsal without root nothing needs it."""
    if os.geteuid() == 0 and (owner or group):
        shutil.chown(path, owner or "root", group or owner or "root")


def _owned(path: Path, owner: str, group: str) -> bool:
    if os.geteuid() != 0 or not (owner or group):
        return True
    try:
        return (path.owner(), path.group()) == (owner or "root", group or owner or "root")
    except KeyError:
        return False


def read(path: Path) -> str:
    """The content of a file, "" for one that is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
