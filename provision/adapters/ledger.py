"""The door to a stack's ledger: a file that is on the disk before the first call to the cloud."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.errors import MissingError, ProvisionError
from provision.model.ledger import Intent, Ledger, Outcome, new_run


@dataclass(frozen=True)
class Where:
    """What a command is going to work on."""

    stack: str
    account: str
    region: str
    tags: Mapping[str, str]
    names: Sequence[str]


class LedgerFile:
    """One stack's ledger. The caller holds the stack's lock while it changes.

    `now` gives the time as ISO 8601 in UTC.
    """

    def __init__(self, path: Path, now: Callable[[], str]) -> None:
        self._path = path
        self._now = now

    def read(self) -> Ledger:
        """The ledger; empty before the first command.

        Raises `ProvisionError` where the file cannot be read: taken for empty, it would hide what
        a killed run left, and the stack would get a second id.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Ledger()
        except (OSError, UnicodeDecodeError) as error:
            raise self._broken(error) from error
        try:
            return Ledger.from_json(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise self._broken(error) from error

    def unfinished(self) -> tuple[Intent, ...]:
        """Commands that never said how they ended: they run, or were killed."""
        return self.read().unfinished

    def run(self) -> str:
        """The stack's id: the one that it has, else a new one, which `begin` writes down."""
        return self.read().run or new_run(self._now()[:10])

    def begin(self, command: str, run: str, where: Where) -> Intent:
        """Write down what `command` is going to do; on the disk when this returns."""
        intent = Intent(
            run=run,
            stack=where.stack,
            account=where.account,
            region=where.region,
            tags=where.tags,
            names=tuple(where.names),
            started_at=self._now(),
            command=command,
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        self._write(self.read().begun(intent))
        return intent

    def end(self, intent: Intent, outcome: Outcome) -> None:
        """Write down how it ended."""
        self._write(self.read().ended(intent, outcome, self._now()))

    @contextlib.contextmanager
    def command(self, command: str, run: str, where: Where) -> Iterator[Intent]:
        """An intent around a command; an error or Ctrl-C is written down as its end too."""
        intent = self.begin(command, run, where)
        try:
            yield intent
        except Exception:
            self._end_quietly(intent, Outcome.FAILED)
            raise
        except BaseException:
            self._end_quietly(intent, Outcome.INTERRUPTED)
            raise
        self.end(intent, Outcome.DONE)

    def _end_quietly(self, intent: Intent, outcome: Outcome) -> None:
        """A disk that is full must not hide why the command failed; the intent stays unfinished."""
        with contextlib.suppress(ProvisionError):
            self.end(intent, outcome)

    def _write(self, ledger: Ledger) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path, ledger.to_json())
        except OSError as error:
            raise MissingError(
                f"cannot write down what is about to be made: {self._path}: {error.strerror}",
                next_step="free space or mend the rights there, then run this again; nothing was "
                "changed in the account",
            ) from error

    def _broken(self, error: Exception) -> ProvisionError:
        return ProvisionError(
            f"{self._path}, which says what provision made in the account, cannot be read: {error}",
            next_step="restore it from a backup; without one, move it away, and the stack is found "
            "by its tags alone",
        )


def _replace(path: Path, value: dict[str, Any]) -> None:
    """Replace a file in one step, and let it outlive a power cut: the folder is synced too."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(value, handle, indent=2, ensure_ascii=False)
            handle.write("\n")
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).replace(path)  # mkstemp made it with mode 0600
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
