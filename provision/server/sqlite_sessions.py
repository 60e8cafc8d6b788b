"""SQLite under many writers: they take turns, and settings are made once a connection.

SQLite admits one writer at a time. Whoever finds the file locked sleeps and asks again, for up to
a tenth of a second at a time (sqlite.org, `sqlite3_busy_timeout`): under load most of the time goes
into these sleeps, and who comes next is luck. A lock hands the turn on at once: among the threads
of a worker one of Python's, among the workers one on a file beside the database, which the system
frees when a worker is killed. SQLite's own lock stays: it guards the file against all others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import Any

from mlflow.store.db.utils import _get_managed_session_maker
from sqlalchemy import Engine, event
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import Pool

_PATIENCE_SECONDS = 20.0
"""As long as MLflow lets SQLite wait; afterwards SQLite's own lock answers."""

PRAGMAS = ("foreign_keys = ON", "busy_timeout = 20000", "case_sensitive_like = true")
"""What MLflow sets at the begin of every session (`mlflow/store/db/utils.py`)."""

_TURN = "provision.turn"
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Turn:
    """The turn to write to one database file, among this process's threads and its siblings."""

    def __init__(self, database: str) -> None:
        self._threads = threading.Lock()
        self._file = f"{database}-turn"
        self._handle: int | None = None
        self._owner = 0

    def take(self, patience: float) -> bool:
        """Wait up to `patience` seconds for the other threads, and for the other workers."""
        if not self._threads.acquire(timeout=patience):
            return False
        # Where files cannot be locked, SQLite's own lock has to do.
        with contextlib.suppress(OSError):
            fcntl.flock(self._opened(), fcntl.LOCK_EX)
        return True

    def give(self) -> None:
        """Hand the turn on."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        self._threads.release()

    def _opened(self) -> int:
        # A lock belongs to whoever opened the file: a worker must not use its parent's.
        if self._handle is None or self._owner != os.getpid():
            self._handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._owner = os.getpid()
        return self._handle


class Turns:
    """The turn to write, one for each database file."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._guard = threading.Lock()

    def install(self) -> None:
        """Let every SQLite connection of this process take part."""
        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Pool, "reset", self._after_transaction)

    def _before(self, connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith(_WRITES) and connection.dialect.name == "sqlite":
            self._take(connection)

    def _take(self, connection: Any) -> None:
        info = connection.info
        if info.get(_TURN) is None:
            turn = self._turn_of(str(connection.engine.url.database))
            if turn.take(_PATIENCE_SECONDS):
                info[_TURN] = turn

    def _turn_of(self, file: str) -> Turn:
        with self._guard:
            return self._turns.setdefault(file, Turn(file))

    @staticmethod
    def _after_transaction(_connection: Any, record: Any, _reset_state: Any) -> None:
        turn = record.info.pop(_TURN, None)
        if turn is not None:
            turn.give()


def set_once(store: Any) -> None:
    """Make MLflow's settings at the begin of a connection instead of every session of `store`."""
    event.listen(store.engine, "connect", _set)
    store.engine.dispose()
    # For any other database than SQLite, MLflow's sessions begin without settings.
    store.ManagedSessionMaker = _get_managed_session_maker(sessionmaker(bind=store.engine), "")


def _set(connection: Any, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
