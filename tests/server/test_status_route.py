"""`GET /provision/status`: what it counts, what it notices, and who may read it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.server.conftest import Cluster
from tests.server.running import ADMIN, auth_for, call, create, execute, serving, settings_for

pytestmark = pytest.mark.slow

STATUS = "/provision/status"


def test_it_counts_what_is_active(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        create(server, "one")
        create(server, "two")
        path = "/api/2.0/mlflow/experiments/delete"
        assert server.call("POST", path, {"experiment_id": "2"}).status == 200
        for name, tags in (("model", []), ("prompt", [_prompt_tag()])):
            path = "/api/2.0/mlflow/registered-models/create"
            assert server.call("POST", path, {"name": name, "tags": tags}).status == 200
        path = "/api/2.0/mlflow/runs/create"
        assert server.call("POST", path, {"experiment_id": "0", "start_time": 1}).status == 200
        answer = server.call("GET", STATUS)
    status = answer.json()
    assert answer.status == 200
    assert status["schema"] == "provision.server-status/1"
    assert status["state"] == "ok"
    assert status["counts"] == {"experiments": 2, "runs": 1, "registered_models": 1}
    assert status["database"]["kind"] == "sqlite"
    assert status["database"]["ok"] and status["database"]["revision"]
    assert status["artifacts"] == {"ok": True, "error": None}
    assert status["database"]["bytes"] > 0
    assert 0 < status["machine"]["disk_free_bytes"] < status["machine"]["disk_bytes"]
    assert 0 < status["machine"]["memory_available_bytes"] < status["machine"]["memory_bytes"]


def _prompt_tag() -> dict[str, str]:
    return {"key": "mlflow.prompt.is_prompt", "value": "true"}


def test_it_notices_a_broken_database(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        execute(tmp_path / "mlflow.db", "ALTER TABLE runs RENAME TO hidden")
        answer = server.call("GET", STATUS)
        assert server.call("GET", "/health").status == 200
    assert answer.status == 503
    assert answer.json()["state"] == "degraded"
    assert answer.json()["database"]["ok"] is False
    assert "runs" in answer.json()["database"]["error"]
    assert answer.json()["counts"] is None


def test_it_notices_an_artifact_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        shutil.rmtree(tmp_path / "artifacts", ignore_errors=True)
        (tmp_path / "artifacts").write_text("a file in its place")
        answer = server.call("GET", STATUS)
    assert answer.status == 503
    assert answer.json()["database"]["ok"] is True
    assert answer.json()["artifacts"]["ok"] is False


def test_it_leaves_nothing_in_the_artifact_folder(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        assert server.call("GET", STATUS).status == 200
        assert not list((tmp_path / "artifacts").iterdir())


def test_under_auth_it_asks_who_wants_to_know(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path, auth=auth_for(tmp_path))) as server:
        assert server.call("GET", STATUS).status == 401
        assert server.call("GET", STATUS, user=("admin", "not the password")).status == 401
        assert server.call("GET", STATUS, user=ADMIN).status == 200


def test_it_is_behind_the_host_check(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        answer = call(server.settings.port, "GET", STATUS, headers={"Host": "evil.example"})
    assert answer.status == 403


@pytest.mark.needs("postgres")
def test_it_notices_a_postgres_that_is_gone(
    tmp_path: Path, cluster: Cluster, database: str
) -> None:
    settings = settings_for(tmp_path, database_url=cluster.url(database))
    with serving(tmp_path, settings) as server:
        assert server.call("GET", STATUS).json()["database"]["kind"] == "postgresql"
        cluster.query(f"ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false")
        cluster.query(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        answer = server.call("GET", STATUS)
        cluster.query(f"ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true")
        again = server.call("GET", STATUS)
        search = server.call("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
    assert answer.status == 503
    assert "not currently accepting connections" in answer.json()["database"]["error"]
    assert again.status == 200
    assert search.status == 200
