"""SQLAlchemy's PostgreSQL dialect with fewer round trips.

Each round trip costs more than its own time: the thread gives up Python's lock and has to wait for
it again. Two habits cost one for nothing:

- `cursor.executemany` of psycopg2 sends one statement at a time, and MLflow updates the latest
  value of every metric in a batch: 50 metrics, 50 round trips. SQLAlchemy's own mode
  `values_plus_batch` sends them together (docs.sqlalchemy.org, "Psycopg2 Fast Execution Helpers").
- MLflow asks every connection whether it lives before each use. A connection that was closed shows
  that without being asked: its socket has something to read.

And one more habit: a password that was refused is tried again a moment later. libpq reads it from
its file at each connection, and whoever renews it changes role and file one after the other.
"""

from __future__ import annotations

import select
import time
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

TRUSTED_SECONDS = 5.0
"""How long an answer counts: a network that drops packets silently is noticed after that."""


REFUSED = "password authentication failed"
_PAUSES = (0.1, 0.3, 0.6, 1.0)


class Connection(psycopg2.extensions.connection):  # type: ignore[misc]
    """A connection that remembers when it answered last (seconds of the monotonic clock)."""

    answered_at = float("-inf")


class Dialect(PGDialect_psycopg2):
    """`postgresql+psycopg2` as the server uses it."""

    supports_statement_cache = True

    def __init__(self, executemany_mode: str = "values_plus_batch", **others: Any) -> None:
        super().__init__(executemany_mode=executemany_mode, **others)

    def connect(self, *words: Any, **options: Any) -> Any:
        """Connect, with connections of our own class."""
        for pause in _PAUSES:
            try:
                return super().connect(*words, connection_factory=Connection, **options)
            except psycopg2.OperationalError as error:
                if REFUSED not in str(error):
                    raise
            time.sleep(pause)
        return super().connect(*words, connection_factory=Connection, **options)

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Whether the connection works; asked only where its silence proves nothing."""
        now = time.monotonic()
        if now - dbapi_connection.answered_at < TRUSTED_SECONDS and is_silent(dbapi_connection):
            return True
        alive = bool(super().do_ping(dbapi_connection))
        dbapi_connection.answered_at = now
        return alive


def is_silent(connection: Any) -> bool:
    """Whether nothing has arrived: neither the end of the connection nor a last message."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
    return not poll.poll(0)


def install() -> None:
    """Make it the dialect of `postgresql+psycopg2` for every engine made from now on."""
    registry.register("postgresql.psycopg2", __name__, Dialect.__name__)
