"""Database sessions as the server makes them: turns on SQLite, fewer questions on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
import sqlalchemy
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects import registry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import Pool

from provision.server import postgres_dialect, sqlite_sessions
from tests.server.conftest import Cluster

pytestmark = pytest.mark.slow
CONTEXT = multiprocessing.get_context("spawn")
FORKED = multiprocessing.get_context("fork")


@pytest.fixture
def turns() -> Iterator[sqlite_sessions.Turns]:
    made = sqlite_sessions.Turns()
    made.install()
    yield made
    event.remove(Engine, "before_cursor_execute", made._before)
    event.remove(Pool, "reset", made._after_transaction)


def table_in(folder: Path) -> Engine:
    # No patience of SQLite's own: whoever does not wait for the turn fails at once.
    engine = sqlalchemy.create_engine(
        f"sqlite:///{folder}/t.db", connect_args={"timeout": 0}, pool_size=8
    )
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    return engine


def write(engine: Engine, number: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})
        connection.execute(text("UPDATE t SET n = n WHERE n = :n"), {"n": number})


def test_writers_wait_for_their_turn_where_sqlite_would_refuse(
    tmp_path: Path, turns: sqlite_sessions.Turns
) -> None:
    engine = table_in(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write(engine, n), range(300)))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 300


def test_a_failed_transaction_gives_its_turn_back(
    tmp_path: Path, turns: sqlite_sessions.Turns
) -> None:
    engine = table_in(tmp_path)
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        raise ZeroDivisionError
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("INSERT INTO missing VALUES (1)"))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (write(engine, 2), done.set()), daemon=True)
    thread.start()
    assert done.wait(10)


def test_another_file_has_another_turn(tmp_path: Path, turns: sqlite_sessions.Turns) -> None:
    (tmp_path / "other").mkdir()
    one, other = table_in(tmp_path), table_in(tmp_path / "other")
    with one.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        write(other, 1)


def write_many(folder: Path, count: int) -> None:
    sqlite_sessions.Turns().install()
    url = f"sqlite:///{folder}/t.db"
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 0}, pool_size=4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: write(engine, n), range(count)))


def test_workers_wait_for_each_other_too(tmp_path: Path) -> None:
    engine = table_in(tmp_path)
    workers = [CONTEXT.Process(target=write_many, args=(tmp_path, 150)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 450


def test_a_worker_does_not_share_the_turn_of_the_process_it_was_forked_from(
    tmp_path: Path,
) -> None:
    turn = sqlite_sessions.Turn(str(tmp_path / "t.db"))
    assert turn.take(1)
    taken = FORKED.Event()
    child = FORKED.Process(target=take_anew, args=(turn, taken))
    child.start()
    assert not taken.wait(0.5)
    turn.give()
    assert taken.wait(20)
    child.join(20)


def take_anew(turn: sqlite_sessions.Turn, taken: Any) -> None:
    turn._threads = threading.Lock()
    turn.take(1)
    taken.set()


def hold(folder: Path, begun: Any) -> None:
    turn = sqlite_sessions.Turn(str(folder / "t.db"))
    turn.take(1)
    begun.set()
    time.sleep(600)


def test_a_killed_worker_gives_its_turn_back(tmp_path: Path, turns: sqlite_sessions.Turns) -> None:
    engine = table_in(tmp_path)
    begun = CONTEXT.Event()
    worker = CONTEXT.Process(target=hold, args=(tmp_path, begun))
    worker.start()
    assert begun.wait(60)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (write(engine, 2), done.set()), daemon=True)
    thread.start()
    assert not done.wait(0.5)
    worker.kill()
    assert done.wait(20)


def test_sessions_have_the_settings_that_mlflow_gives_them(tmp_path: Path) -> None:
    theirs = SqlAlchemyStore(f"sqlite:///{tmp_path}/theirs.db", "mlflow-artifacts:/")
    ours = SqlAlchemyStore(f"sqlite:///{tmp_path}/ours.db", "mlflow-artifacts:/")
    sqlite_sessions.set_once(ours)
    assert settings_of(ours) == settings_of(theirs)
    # The second session of a connection has them too.
    assert settings_of(ours) == settings_of(theirs)


def settings_of(store: Any) -> tuple[Any, ...]:
    with store.ManagedSessionMaker() as session:
        asked = [
            text("PRAGMA foreign_keys"),
            text("PRAGMA busy_timeout"),
            text("SELECT 'a' LIKE 'A'"),
        ]
        return tuple(session.scalar(question) for question in asked)


@pytest.fixture
def tuned(cluster: Cluster, database: str) -> Iterator[Engine]:
    postgres_dialect.install()
    engine = sqlalchemy.create_engine(cluster.url(database), pool_pre_ping=True)
    yield engine
    engine.dispose()
    registry.impls.pop("postgresql.psycopg2")


def test_a_batch_of_updates_is_sent_together(tuned: Engine) -> None:
    sent: list[bytes] = []

    class Recording(psycopg2.extensions.cursor):
        def execute(self, query: Any, values: Any = None) -> None:
            sent.append(query if isinstance(query, bytes) else query.encode())
            super().execute(query, values)

    with tuned.begin() as connection:
        connection.execute(text("CREATE TABLE t (k INTEGER, v INTEGER)"))
        connection.execute(text("INSERT INTO t SELECT k, 0 FROM generate_series(1, 50) k"))
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.cursor_factory = Recording
        rows = [{"k": k, "v": k * 2} for k in range(1, 51)]
        connection.execute(text("UPDATE t SET v = :v WHERE k = :k"), rows)
        assert len(sent) == 1
        assert sent[0].count(b"UPDATE") == 50
        assert connection.scalar(text("SELECT sum(v) FROM t")) == 2 * sum(range(1, 51))


def test_a_connection_that_the_server_closed_is_noticed_at_once(
    tuned: Engine, cluster: Cluster
) -> None:
    with tuned.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with tuned.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == pid
    cluster.query(f"SELECT pg_terminate_backend({pid}, 5000)")
    with tuned.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid


def test_a_quiet_connection_is_not_asked_again_and_again(
    tuned: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    plain = postgres_dialect.PGDialect_psycopg2.do_ping
    monkeypatch.setattr(
        postgres_dialect.PGDialect_psycopg2,
        "do_ping",
        lambda self, connection: (asked.append(1), plain(self, connection))[1],
    )
    for _ in range(10):
        with tuned.connect() as connection:
            connection.execute(text("SELECT 1"))
    assert len(asked) == 1
    monkeypatch.setattr(postgres_dialect, "TRUSTED_SECONDS", 0.0)
    for _ in range(3):
        with tuned.connect() as connection:
            connection.execute(text("SELECT 1"))
    assert len(asked) == 4
