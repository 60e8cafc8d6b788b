"""Who runs Terraform in a folder: recorded while it runs, so that a lock's owner can be found.

Terraform's own lock names a user and a host, no process. Each process has a record of its own; that
of one that was killed stays, and its number with the moment of its start tells that it is gone.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from provision.adapters.terraform.files import read_object, write_private_json

_PREFIX = ".provision-terraform-"
_SAME_START_SECONDS = 1.0


@dataclass(frozen=True)
class Owner:
    """A process of Terraform: its number, its start (seconds since 1970), its host, its command."""

    pid: int
    started_at: float
    host: str
    command: str

    @property
    def is_here(self) -> bool:
        """Whether it ran on this machine, so that one can look whether it lives."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether it still runs. Only to be asked where `is_here`."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < _SAME_START_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False


@contextlib.contextmanager
def recorded(folder: Path, pid: int, words: Sequence[str]) -> Iterator[None]:
    """Keep the record of a process while the body runs.

    A full disk must not stop a command that may be about to free it, so that a record that cannot
    be written is left out.
    """
    path = folder / f"{_PREFIX}{pid}.json"
    with contextlib.suppress(OSError, psutil.Error):
        started = psutil.Process(pid).create_time()
        host, command = socket.gethostname(), _command(words)
        write_private_json(path, asdict(Owner(pid, started, host, command)))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _command(words: Sequence[str]) -> str:
    """Terraform's command alone: what follows may name files of the user."""
    commands = [word for word in words[1:] if word.isalpha()]
    return commands[0] if commands else ""


def find(folder: Path) -> list[Owner]:
    """All that run Terraform in this folder, and those that were killed while they did."""
    return [owner for path in folder.glob(f"{_PREFIX}*.json") if (owner := _read(path))]


def forget_dead(folder: Path) -> None:
    """Remove the records of those that are gone: a lock of theirs is gone as well."""
    for path in folder.glob(f"{_PREFIX}*.json"):
        owner = _read(path)
        if owner is None or (owner.is_here and not owner.lives):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Owner | None:
    record = read_object(path)
    try:
        return None if record is None else Owner(**record)
    except TypeError:
        return None
