"""The door to the file system: folders, atomic files, locks, free space."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.secrets import Secret, generate

_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class FolderSize:
    """What lies below a folder: number of files and their bytes."""

    path: Path
    files: int
    bytes: int


@contextlib.contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` on `path` into an error with a next step."""
    try:
        yield
    except OSError as error:
        raise _explain(error, path, doing) from error


def _explain(error: OSError, path: Path, doing: str) -> ProvisionError:
    where = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MissingError(
            f"cannot {doing}: the disk that holds {where} is full",
            next_step=f"free space there (df -h '{path}' shows how much), then run this again; "
            "nothing was lost",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingError(
            f"cannot {doing}: {where} is not writable for this user",
            next_step="make the folder writable, or choose another one with --state-dir DIR",
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return MissingError(
            f"cannot {doing}: {where} is in the way",
            next_step="move it away, or choose another folder with --state-dir DIR",
        )
    return ProvisionError(
        f"cannot {doing}: {where}: {error.strerror}",
        next_step="mend the folder named above, then run this again",
    )


def make_folder(path: Path, mode: int = 0o700, *, enforce: bool = True) -> None:
    """Create a folder with its parents; `mode` counts for the folder itself.

    Without `enforce`, a folder that is already there keeps its mode: it is not ours alone.
    """
    with explained(path, "create the folder"):
        existed = path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if (enforce or not existed) and path.stat().st_uid == os.geteuid():
            path.chmod(mode)


def write_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, so that a crash leaves the old or the new one, never half."""
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step, with content that is no text."""
    with explained(path, "write"):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_ignore_file(folder: Path) -> None:
    """Keep a state folder out of git: it holds data and secrets, and belongs to one machine."""
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_text(ignore, "*\n", mode=0o644)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; `None` where there is no file, or nothing whole in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def ensure_secret(path: Path) -> Secret:
    """The secret in a file of mode 0600; made on first use."""
    if not path.exists():
        write_text(path, generate().reveal() + "\n")
    return read_secret(path)


def read_secret(path: Path) -> Secret:
    """The secret that a file holds."""
    with explained(path, "read"):
        return Secret(path.read_text(encoding="utf-8").strip())


def read_text(path: Path) -> str:
    """The text of a file."""
    with explained(path, "read"):
        return path.read_text(encoding="utf-8")


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where `path` is, or will be."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(existing).free


def folder_size(path: Path) -> FolderSize:
    """Count files and bytes below a folder; what vanishes meanwhile is left out."""
    files = size = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += (Path(parent) / name).lstat().st_size
                files += 1
    return FolderSize(path, files, size)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder with modes, times and owners; nobody works in it meanwhile."""
    with explained(source, "copy"):
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_owned)
        for parent, _, _ in os.walk(target):
            origin = (source / Path(parent).relative_to(target)).stat()
            os.chown(parent, origin.st_uid, origin.st_gid)


def _copy_owned(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    found = Path(source).lstat()
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)


def remove_file(path: Path) -> None:
    """Delete a file; one that is not there is fine."""
    with explained(path, "delete"):
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Delete a folder with all that is in it; one that is not there is fine."""
    with explained(path, "delete"), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def remove_empty_folder(path: Path) -> None:
    """Delete a folder in which nothing is left; any other stays as it is."""
    with contextlib.suppress(OSError):
        path.rmdir()


@contextlib.contextmanager
def exclusive(lock: Path, *, wait_seconds: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold `lock` while the body runs; wait for another holder, and say who it is.

    The kernel drops the lock with its holder, so a killed command leaves nothing behind.
    Raises `RefusedError` after `wait_seconds`.
    """
    with explained(lock, "lock the stack"):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, lock, wait_seconds, on_wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(
    descriptor: int, lock: Path, wait_seconds: float, on_wait: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"another provision command (process {holder}) is at work on {lock.parent}",
                    next_step="wait until it has ended, then run this again",
                ) from None
            if not told:
                on_wait(f"waiting for another provision command (process {holder})")
                told = True
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a text file; empty where there is none."""
    block = 64 * 1024
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - max(block, lines * 400)))
            text = handle.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def follow(path: Path) -> Iterator[str]:
    """New lines of a file as they come, across rotation; ends only with its consumer."""
    position, inode = (path.stat().st_size, path.stat().st_ino) if path.exists() else (0, 0)
    rest = ""
    while True:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if status.st_ino != inode or status.st_size < position:
                position, inode = 0, status.st_ino
            with path.open("r", encoding="utf-8", errors="replace") as handle:
                handle.seek(position)
                rest += handle.read()
                position = handle.tell()
        *whole, rest = rest.split("\n")
        yield from whole
        time.sleep(0.2)


class PasswordFolder:
    """People's passwords: a file of mode 0600 each, in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, username: str, password: Secret) -> Path:
        """Write a password, in place of an older one; returns its file."""
        if not self.folder.is_dir():
            make_folder(self.folder)
        write_text(self.file(username), password.reveal() + "\n")
        return self.file(username)

    def drop(self, username: str) -> None:
        """Delete a password; one that is not there is fine."""
        remove_file(self.file(username))

    def read(self, username: str) -> Secret | None:
        """A password that is still here."""
        file = self.file(username)
        return read_secret(file) if file.exists() else None

    def file(self, username: str) -> Path:
        """Where a password is kept."""
        return self.folder / f"{username}.password"
