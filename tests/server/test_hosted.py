"""What the server does for a host of its own: on S3, with a database that others look after."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from provision.server import database as preparation
from provision.server import postgres_dialect
from provision.server.failures import BootError
from tests.server.conftest import Cluster
from tests.server.running import serving, settings_for

INFO = "/api/3.0/mlflow/server-info"


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False])
def test_presigned_urls_are_offered_only_where_clients_may_use_them(
    tmp_path: Path, direct: bool
) -> None:
    settings = settings_for(
        tmp_path, artifacts_destination="s3://provision-demo/artifacts", direct_artifacts=direct
    )
    with serving(tmp_path, settings) as server:
        for path in (INFO, INFO.replace("/api/", "/ajax-api/")):
            info = server.call("GET", path).json()
            assert info["multipart_downloads_enabled"] is direct
            assert info["multipart_uploads_enabled"] is direct
            assert info["store_type"] == "SqlStore"


def refusing(times: int, words: str) -> Any:
    """A way to connect that is refused so often."""
    left = [times]

    def connect(_self: object, *_words: Any, **_options: Any) -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise psycopg2.OperationalError(words)
        return "connected"

    return connect


def test_a_refused_password_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_dialect.time, "sleep", lambda _seconds: None)
    refused = 'FATAL:  password authentication failed for user "mlflow"'
    monkeypatch.setattr(PGDialect_psycopg2, "connect", refusing(3, refused))
    assert postgres_dialect.Dialect().connect() == "connected"
    monkeypatch.setattr(PGDialect_psycopg2, "connect", refusing(99, refused))
    with pytest.raises(psycopg2.OperationalError, match="password"):
        postgres_dialect.Dialect().connect()


def test_other_failures_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PGDialect_psycopg2, "connect", refusing(1, "timeout expired"))
    with pytest.raises(psycopg2.OperationalError, match="timeout"):
        postgres_dialect.Dialect().connect()


@pytest.mark.slow
@pytest.mark.needs("postgres")
def test_tables_are_made_by_one_at_a_time(cluster: Cluster, database: str) -> None:
    engine = preparation.probe_engine(cluster.url(database))
    done = threading.Event()

    def make() -> None:
        with preparation._taking_turns(engine):
            done.set()

    with preparation._taking_turns(engine):
        thread = threading.Thread(target=make)
        thread.start()
        assert not done.wait(1.0), "two had the turn"
    thread.join(30)
    assert done.is_set()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_upgrade_needs_a_dump_unless_somebody_else_keeps_backups(
    tmp_path: Path, elsewhere: bool
) -> None:
    url = "postgresql+psycopg2://mlflow@127.0.0.1:9/mlflow"
    settings = settings_for(tmp_path, database_url=url, backed_up_elsewhere=elsewhere)
    engine = preparation.probe_engine(url)
    if elsewhere:
        assert "the database service's backup of 20" in preparation._back_up(settings, engine)
    else:
        with pytest.raises(BootError, match="name no pg_dump"):
            preparation._back_up(settings, engine)
