"""SQLite under many threads: they take turns to write, and settings are made once a connection.

SQLite admits one writer at a time. Whoever finds the file locked sleeps and asks again, for up to
a tenth of a second at a time (sqlite.org, `sqlite3_busy_timeout`): under load most of the time goes
into these sleeps, and who comes next is luck. A lock in this process hands the turn on at once.
SQLite's own lock stays: it guards the file against other processes.
"""

from __future__ import annotations

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


class Turns:
    """The turn to write, one for each database file."""

    def __init__(self) -> None:
        self._turns: dict[str, threading.Lock] = {}
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
            if turn.acquire(timeout=_PATIENCE_SECONDS):
                info[_TURN] = turn

    def _turn_of(self, file: str) -> threading.Lock:
        with self._guard:
            return self._turns.setdefault(file, threading.Lock())

    @staticmethod
    def _after_transaction(_connection: Any, record: Any, _reset_state: Any) -> None:
        turn = record.info.pop(_TURN, None)
        if turn is not None:
            turn.release()


def set_once(store: Any) -> None:
    """Make MLflow's settings at the begin of a connection instead of every session of `store`."""
    event.listen(store.engine, "connect", _set)
    store.engine.dispose()
    # For any other database than SQLite, MLflow's sessions begin without settings.
    store.ManagedSessionMaker = _get_managed_session_maker(sessionmaker(bind=store.engine), "")


def _set(connection: Any, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
