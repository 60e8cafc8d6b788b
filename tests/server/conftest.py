"""A private PostgreSQL cluster, a fresh database in it for each test, and a full store."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from provision.adapters.postgres import find_binaries
from provision.server.locations import COLUMNS
from provision.server.places import Place
from tests.mlflow_servers import free_port
from tests.server.data_jobs import archive, place_in
from tests.server.full_stores import filled, seen
from tests.server.running import execute


@dataclass(frozen=True)
class Cluster:
    """PostgreSQL on the loopback address; anybody on this machine is its superuser `postgres`."""

    port: int
    programs: Path

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/{database}"

    def query(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def _as_owner() -> dict[str, Any]:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    base = Path(tempfile.mkdtemp(prefix="provision-postgres-"))
    owner = _as_owner()
    if owner:
        os.chown(base, owner["user"], owner["group"])
    programs = find_binaries(base / "data").program("postgres").parent
    port = free_port()
    subprocess.run(
        [programs / "initdb", "-D", base / "data", "-U", "postgres", "-A", "trust", "-N"],
        check=True, cwd=base, stdout=subprocess.DEVNULL, **owner,
    )  # fmt: skip
    process = subprocess.Popen(
        [programs / "postgres", "-D", base / "data", "-p", str(port), "-k", ""],
        cwd=base, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **owner,
    )  # fmt: skip
    found = Cluster(port, programs)
    try:
        _wait(found)
        yield found
    finally:
        process.terminate()
        process.kill()
        process.wait()
        shutil.rmtree(base, ignore_errors=True)


def _wait(cluster: Cluster) -> None:
    while True:
        try:
            cluster.query("SELECT 1")
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The name of an empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.query(f"CREATE DATABASE {name}")
    yield name
    cluster.query(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="session")
def full(workshop: Path) -> tuple[Place, Any]:
    """A store on SQLite with everything in it, and what a client sees there. Not to be changed."""
    place = filled(place_in(workshop / "full"), workshop)
    return place, seen(place, workshop)


@pytest.fixture(scope="session")
def archived(full: tuple[Place, Any], workshop: Path) -> Path:
    """Its archive. Not to be changed."""
    folder = workshop / "archive"
    assert archive(full[0], folder).result["counts"]["runs"] == len(full[1]["runs"])
    return folder


@pytest.fixture
def copy(archived: Path, tmp_path: Path) -> Path:
    """An archive that a test may damage."""
    return Path(shutil.copytree(archived, tmp_path / "copy"))


@pytest.fixture
def small(full: tuple[Place, Any], tmp_path: Path) -> Place:
    """A store of one's own with every table filled and no artifacts yet."""
    place = place_in(tmp_path / "small")
    file = tmp_path / "small/mlflow.db"
    shutil.copy(full[0].database_url.removeprefix("sqlite:///"), file)
    for table, column, _ in COLUMNS:
        old, new = full[0].artifacts, place.artifacts
        execute(file, f"UPDATE {table} SET {column} = replace({column}, '{old}', '{new}')")
    return place
