"""Artifact locations: from a SQLite file without a server to a served one, and back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from provision.server import locations
from tests.server.running import execute, serving, settings_for, stop

CLIENT = Path(__file__).with_name("client_work.py")
TABLES = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, artifact_location TEXT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, artifact_uri TEXT);
CREATE TABLE trace_tags (key TEXT, value TEXT, request_id TEXT, PRIMARY KEY (key, request_id));
"""


@pytest.fixture
def store() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    return connection


def experiments(store: sqlite3.Connection, *places: str) -> None:
    store.executemany(
        "INSERT INTO experiments (artifact_location) VALUES (?)", [(place,) for place in places]
    )
    store.commit()


def places(store: sqlite3.Connection) -> list[str]:
    found = store.execute("SELECT artifact_location FROM experiments ORDER BY experiment_id")
    return [place for (place,) in found]


@pytest.mark.parametrize("local, served", [
    ("/data/art/1", "mlflow-artifacts:/1"),
    ("file:///data/art/1/a%20b", "mlflow-artifacts:/1/a b"),
    ("file:///data/art", "mlflow-artifacts:/"),
    ("/data/art/", "mlflow-artifacts:/"),
])  # fmt: skip
def test_a_path_below_the_root_is_served(
    store: sqlite3.Connection, local: str, served: str
) -> None:
    experiments(store, local)
    assert locations.count_local(store, Path("/data/art")) == 1
    assert locations.to_served(store, Path("/data/art")) == 1
    assert places(store) == [served]
    assert locations.count_local(store, Path("/data/art")) == 0


@pytest.mark.parametrize("place", [
    "/data/artifacts/1", "/data/art/../secret", "s3://bucket/1", "file://host/data/art/1", "",
    "mlflow-artifacts:/1", "/data/art/50%", "/data/art/a?b", "/data/art/a#b", "relative/1",
])  # fmt: skip
def test_any_other_location_stays(store: sqlite3.Connection, place: str) -> None:
    experiments(store, place)
    assert locations.to_served(store, Path("/data/art")) == 0
    assert places(store) == [place]


@pytest.mark.parametrize(
    "place", ["mlflow-artifacts://host:5000/1", "s3://bucket/1", "/elsewhere/1"]
)
def test_the_way_back_touches_only_what_this_server_served(
    store: sqlite3.Connection, place: str
) -> None:
    experiments(store, place, "mlflow-artifacts:/1/a b")
    assert locations.to_local(store, Path("/data/art")) == 1
    assert places(store) == [place, "file:///data/art/1/a%20b"]


def test_a_prefix_tells_where_the_root_lies_in_the_destination(store: sqlite3.Connection) -> None:
    experiments(store, "/data/art/1", "/data/art")
    locations.to_served(store, Path("/data/art"), "art")
    assert places(store) == ["mlflow-artifacts:/art/1", "mlflow-artifacts:/art"]
    locations.to_local(store, Path("/data/art"), "art")
    assert places(store) == ["file:///data/art/1", "file:///data/art"]


def test_only_the_tag_that_holds_a_location_changes(store: sqlite3.Connection) -> None:
    rows = [("mlflow.artifactLocation", "/data/art/t"), ("my tag", "/data/art/t")]
    store.executemany("INSERT INTO trace_tags VALUES (?, ?, 't')", rows)
    store.commit()
    locations.to_served(store, Path("/data/art"))
    found = store.execute("SELECT key, value FROM trace_tags ORDER BY key").fetchall()
    assert found == [("mlflow.artifactLocation", "mlflow-artifacts:/t"), rows[1]]


def test_a_failure_half_way_changes_nothing(store: sqlite3.Connection) -> None:
    experiments(store, "/data/art/1")
    store.execute("INSERT INTO runs VALUES ('r', '/data/art/1/r')")
    store.execute("CREATE TRIGGER no BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END")
    store.commit()
    with pytest.raises(sqlite3.IntegrityError):
        locations.to_served(store, Path("/data/art"))
    assert places(store) == ["/data/art/1"]


def client(folder: Path, uri: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, CLIENT, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_what_was_written_without_a_server_is_served_and_goes_back(tmp_path: Path) -> None:
    path, root = tmp_path / "mlflow.db", tmp_path / "mlruns"
    uri = f"sqlite:///{path}"
    made = client(tmp_path, uri, "write")
    wanted = client(tmp_path, uri, "read", made["run"])
    assert wanted["location"].startswith((str(root), root.as_uri()))
    before = _every_location(path)

    settings = settings_for(
        tmp_path, artifacts_destination=str(root), local_artifact_root=str(root)
    )
    with serving(tmp_path, settings) as server:
        served = client(tmp_path, f"http://127.0.0.1:{settings.port}", "read", made["run"])
        stop(server)
    assert served == wanted | {"location": "mlflow-artifacts:/1"}
    assert not [place for place in _every_location(path) if str(root) in place]
    (backup,) = (tmp_path / "backups").iterdir()
    assert _every_location(backup) == before

    moved = tmp_path / "moved elsewhere"
    shutil.move(root, moved)
    with closing(sqlite3.connect(path)) as connection:
        assert locations.to_local(connection, moved) == len(before)
    again = client(tmp_path, uri, "read", made["run"])
    assert again == wanted | {"location": (moved / "1").as_uri()}


def _every_location(path: Path) -> list[str]:
    found = []
    for table, column, keys in locations.COLUMNS:
        listed = ", ".join(f"'{key}'" for key in keys)
        where = f"{column} LIKE '%/%'" + (f" AND key IN ({listed})" if keys else "")
        found += execute(path, f"SELECT {column} FROM {table} WHERE {where}")
    # A model version whose source is `models:/...` points into the store itself.
    return sorted(str(place) for (place,) in found if not str(place).startswith("models:"))


@pytest.mark.slow
def test_a_second_start_makes_no_second_backup(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, local_artifact_root=str(tmp_path / "artifacts"))
    for _ in range(2):
        with serving(tmp_path, settings) as server:
            stop(server)
    assert not (tmp_path / "backups").exists()
