"""Databases of every kind at the start: damaged, older, newer, foreign, out of reach, full."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from provision.server.failures import EXIT_FINAL, EXIT_TEMPORARY
from tests.server.conftest import Cluster
from tests.server.running import (
    ADMIN,
    SEARCH,
    auth_for,
    create,
    database_with_data,
    execute,
    failure_of,
    names,
    serving,
    settings_for,
    stop,
)  # fmt: skip

pytestmark = pytest.mark.slow

OLDER = "bd07f7e963c5"
"""A revision of MLflow's tracking schema before model aliases, traces and webhooks."""


INSERT_OLD = (
    "INSERT INTO experiments (name, lifecycle_stage, artifact_location) "
    "VALUES ('old', 'active', '/somewhere')"
)
MIGRATE = """
import sys, sqlalchemy
from alembic import command
from mlflow.store.db import utils
url, revision = sys.argv[1:]
utils.InitialBase.metadata.create_all(sqlalchemy.create_engine(url))
command.upgrade(utils._get_alembic_config(url), revision)
"""


def migrate(url: str, revision: str, folder: Path) -> None:
    """Make a database by MLflow's own migrations, up to a revision."""
    subprocess.run(
        [sys.executable, "-c", MIGRATE, url, revision],
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
    )


def test_a_database_without_a_header_is_damaged_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"not a database at all" * 100)
    code, error = failure_of(tmp_path, settings_for(tmp_path))
    assert (code, error["code"]) == (EXIT_FINAL, "database-damaged")
    assert str(path) in error["message"]
    assert ".dump" in error["next_step"]
    assert path.read_bytes() == b"not a database at all" * 100


def test_a_database_with_torn_pages_is_damaged(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    with path.open("r+b") as stream:
        for page in range(2, 40):
            stream.seek(page * 4096)
            stream.write(os.urandom(2048))
    before = path.read_bytes()
    code, error = failure_of(tmp_path, settings_for(tmp_path))
    assert (code, error["code"]) == (EXIT_FINAL, "database-damaged")
    assert path.read_bytes() == before


@pytest.mark.needs("sqlite3")
def test_the_recovery_that_a_damaged_database_suggests_works(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = execute(path, "PRAGMA page_size")[0][0]
    page = execute(path, "SELECT rootpage FROM sqlite_master WHERE name = 'latest_metrics'")[0][0]
    assert isinstance(size, int) and isinstance(page, int)
    with path.open("r+b") as stream:
        stream.seek(size * (page - 1))
        stream.write(b"x" * size)
    _, error = failure_of(tmp_path, settings_for(tmp_path))
    commands = [part for part in error["next_step"].split("`") if str(path) in part]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, shell=True, check=True)
    assert execute(path, "PRAGMA quick_check") == [("ok",)]
    assert ("kept",) in execute(path, "SELECT name FROM experiments")


def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    execute(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    code, error = failure_of(tmp_path, settings_for(tmp_path))
    assert (code, error["code"]) == (EXIT_FINAL, "database-newer")
    assert "ffffffffffff" in error["message"]
    assert execute(path, "SELECT version_num FROM alembic_version") == [("ffffffffffff",)]


def test_a_newer_auth_database_is_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, auth=auth_for(tmp_path))
    with serving(tmp_path, settings) as server:
        stop(server)
    execute(tmp_path / "auth.db", "UPDATE alembic_version_auth SET version_num = 'ffffffffffff'")
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "database-newer")


def test_an_older_database_waits_for_the_word_and_is_backed_up_first(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    migrate(f"sqlite:///{path}", OLDER, tmp_path)
    execute(
        path,
        INSERT_OLD,
    )
    settings = settings_for(tmp_path)
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "database-older")
    assert "--upgrade-database" in error["next_step"]
    assert not (tmp_path / "backups").exists()
    upgrading = settings_for(tmp_path, upgrade_database=True)
    with serving(tmp_path, upgrading) as server:
        assert "old" in names(server)
    (backup,) = (tmp_path / "backups").iterdir()
    assert execute(backup, "SELECT version_num FROM alembic_version") == [(OLDER,)]
    assert execute(backup, "SELECT name FROM experiments") == [("old",)]


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    migrate(f"sqlite:///{path}", OLDER, tmp_path)
    execute(
        path,
        INSERT_OLD,
    )
    # A later migration creates a table of this name, half way through the upgrade.
    execute(path, "CREATE TABLE webhooks (webhook_id TEXT)")
    code, error = failure_of(tmp_path, settings_for(tmp_path, upgrade_database=True))
    assert (code, error["code"]) == (EXIT_FINAL, "upgrade-failed")
    assert execute(path, "SELECT version_num FROM alembic_version") == [(OLDER,)]
    assert execute(path, "SELECT name FROM experiments") == [("old",)]


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    execute(tmp_path / "mlflow.db", "CREATE TABLE invoices (id INTEGER)")
    code, error = failure_of(tmp_path, settings_for(tmp_path))
    assert (code, error["code"]) == (EXIT_FINAL, "database-foreign")
    assert execute(tmp_path / "mlflow.db", "SELECT name FROM sqlite_master") == [("invoices",)]


def test_a_database_with_missing_tables_is_damaged(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    execute(path, "DROP TABLE metrics")
    code, error = failure_of(tmp_path, settings_for(tmp_path))
    assert (code, error["code"]) == (EXIT_FINAL, "database-damaged")


def test_both_schemas_fit_into_one_sqlite_file(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    settings = settings_for(tmp_path, auth=auth_for(tmp_path, f"sqlite:///{path}"))
    with serving(tmp_path, settings) as server:
        found = server.call("GET", SEARCH, user=ADMIN).json()["experiments"]
    assert "kept" in {experiment["name"] for experiment in found}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = settings_for(tmp_path, database_url=f"sqlite:///{disk}/mlflow.db")
    code, error = failure_of(tmp_path, settings, inside=_own_disk(disk, "ro"))
    assert (code, error["code"]) == (EXIT_FINAL, "not-writable")


def test_a_full_disk_is_named_and_may_be_tried_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = settings_for(tmp_path, database_url=f"sqlite:///{disk}/mlflow.db")
    code, error = failure_of(tmp_path, settings, inside=_own_disk(disk, "size=300k"))
    assert (code, error["code"]) == (EXIT_TEMPORARY, "disk-full")


def _own_disk(folder: Path, options: str) -> list[str]:
    """A mount namespace in which `folder` is a file system of its own."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    program = f'mount -t tmpfs -o {options} tmpfs "{folder}" && exec "$@"'
    return ["unshare", *as_root, "--mount", "sh", "-c", program, "sh"]


@pytest.mark.needs("postgres")
def test_postgres_is_initialised_served_and_shared_by_no_two_workers(
    tmp_path: Path, cluster: Cluster, database: str
) -> None:
    url = cluster.url(database)
    auth = auth_for(tmp_path, url)
    settings = settings_for(tmp_path, database_url=url, auth=auth, workers=3)
    with serving(tmp_path, settings) as server:
        before = _clients(cluster, database)
        workers = server.family()
        for number in range(60):
            create(server, f"experiment {number}", user=ADMIN)
        ports = {w.pid: _database_ports(w, cluster.port) for w in workers}
        master = _database_ports(psutil.Process(server.process.pid), cluster.port)
    assert before == 0
    assert not master
    assert any(ports.values())
    assert sum(len(found) for found in ports.values()) == len(set().union(*ports.values()))


def _clients(cluster: Cluster, database: str) -> int:
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
    return int(cluster.query(sql)[0][0])


def _database_ports(process: psutil.Process, port: int) -> set[int]:
    return {c.laddr.port for c in process.net_connections() if c.raddr and c.raddr.port == port}


@pytest.mark.needs("postgres")
def test_an_older_postgres_schema_is_dumped_and_upgraded(
    tmp_path: Path, cluster: Cluster, database: str
) -> None:
    url = cluster.url(database)
    migrate(url, OLDER, tmp_path)
    cluster.query("INSERT INTO experiments (name) VALUES ('old')", database)
    program = str(cluster.programs / "pg_dump")
    settings = settings_for(tmp_path, database_url=url, pg_dump=program)
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "database-older")
    with serving(tmp_path, replace(settings, upgrade_database=True)) as server:
        assert server.call("GET", SEARCH).status == 200
    (backup,) = (tmp_path / "backups").iterdir()
    listing = subprocess.run(
        [cluster.programs / "pg_restore", "--list", backup],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "TABLE DATA public experiments" in listing.stdout


@pytest.mark.needs("postgres")
def test_without_a_dump_a_postgres_schema_is_not_upgraded(
    tmp_path: Path, cluster: Cluster, database: str
) -> None:
    migrate(cluster.url(database), OLDER, tmp_path)
    cluster.query("INSERT INTO experiments (name) VALUES ('old')", database)
    settings = settings_for(
        tmp_path,
        database_url=cluster.url(database),
        pg_dump=str(tmp_path / "none"),
        upgrade_database=True,
    )
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "backup-failed")
    assert cluster.query("SELECT version_num FROM alembic_version", database) == [(OLDER,)]


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("statement, code", [
    ("UPDATE alembic_version SET version_num = 'ffffffffffff'", "database-newer"),
    ("DROP TABLE metrics", "database-damaged"),
])  # fmt: skip
def test_a_postgres_database_that_does_not_fit_is_refused(
    tmp_path: Path, cluster: Cluster, database: str, statement: str, code: str
) -> None:
    settings = settings_for(tmp_path, database_url=cluster.url(database))
    with serving(tmp_path, settings) as server:
        stop(server)
    cluster.query(statement, database)
    exit_code, error = failure_of(tmp_path, settings)
    assert (exit_code, error["code"]) == (EXIT_FINAL, code)


@pytest.mark.needs("postgres")
def test_a_postgres_database_of_another_program_is_refused(
    tmp_path: Path, cluster: Cluster, database: str
) -> None:
    cluster.query("CREATE TABLE invoices (id INTEGER)", database)
    settings = settings_for(tmp_path, database_url=cluster.url(database))
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "database-foreign")


@pytest.mark.needs("postgres")
def test_a_database_that_does_not_exist_is_unreachable_at_once(
    tmp_path: Path, cluster: Cluster
) -> None:
    settings = settings_for(tmp_path, database_url=cluster.url("nowhere"))
    code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_FINAL, "database-unreachable")
    assert "nowhere" in error["message"]


def test_a_database_that_never_answers_may_be_tried_again(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://postgres@127.0.0.1:1/none"
    code, error = failure_of(tmp_path, settings_for(tmp_path, database_url=url))
    assert (code, error["code"]) == (EXIT_TEMPORARY, "database-unreachable")
