from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from provision.adapters.local_store import LocalFiles
from provision.app.check_local import check_local
from provision.errors import UsageError
from provision.model.clients import sqlite_uri
from provision.model.endpoint import Endpoint
from provision.model.report import Finding, Report

REVISIONS = LocalFiles().known_revisions()


def look(database: Path, artifacts: Path | None = None) -> Report:
    ticks = itertools.count()
    endpoint = Endpoint("solo", sqlite_uri(database), "3.17.2", artifact_root=artifacts)
    return check_local(endpoint, LocalFiles(), lambda: next(ticks))


def broken(database: Path, artifacts: Path | None = None) -> Finding:
    finding = look(database, artifacts).first_failure
    assert finding is not None
    return finding


def make_database(file: Path, revision: str = REVISIONS[-1]) -> Path:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE experiments (name TEXT)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        rows = ((f"{number:0200}",) for number in range(2000))
        connection.executemany("INSERT INTO experiments VALUES (?)", rows)
    return file


def test_the_schemas_newest_revision_is_the_one_mlflow_creates() -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store import db_migrations

    scripts = ScriptDirectory(str(Path(str(db_migrations.__file__)).parent))
    assert REVISIONS[-1] == scripts.get_current_head()
    assert set(REVISIONS) == {script.revision for script in scripts.walk_revisions()}


def test_a_database_that_does_not_exist_yet_is_fine_and_is_not_created(tmp_path: Path) -> None:
    assert look(tmp_path / "mlflow.db", tmp_path / "artifacts").passed
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifacts"]
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert look(tmp_path / "mlflow.db").passed


def test_a_sound_database_is_left_byte_for_byte_as_it_was(tmp_path: Path) -> None:
    database = make_database(tmp_path / "mlflow.db")
    before = database.read_bytes()
    report = look(database)
    assert report.passed
    assert REVISIONS[-1] in report.findings[0].observed
    assert database.read_bytes() == before


def test_a_database_without_a_folder_is_found(tmp_path: Path) -> None:
    finding = broken(tmp_path / "no" / "mlflow.db")
    assert finding.id == "database.no-folder"
    assert str(tmp_path / "no") in finding.next_step


def test_a_file_of_another_kind_is_found(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"PK\x03\x04" + b"\0" * 5000)
    assert broken(tmp_path / "mlflow.db").id == "database.not-sqlite"


def test_a_damaged_database_is_found_and_nothing_behind_it_is_blamed(tmp_path: Path) -> None:
    database = make_database(tmp_path / "mlflow.db")
    content = bytearray(database.read_bytes())
    content[20_000:200_000] = b"\xff" * 180_000
    database.write_bytes(content)
    report = look(database, tmp_path / "artifacts")
    assert report.first_failure is not None
    assert report.first_failure.id == "database.damaged"
    assert report.findings[-1].outcome == "not_reached"
    assert not (tmp_path / "artifacts").exists()


def test_a_database_that_was_cut_off_is_found(tmp_path: Path) -> None:
    database = make_database(tmp_path / "mlflow.db")
    database.write_bytes(database.read_bytes()[:30_000])
    assert broken(database).id == "database.damaged"


@pytest.mark.parametrize(
    ("revision", "problem"), [(REVISIONS[0], "older"), ("ffffffffffff", "newer")]
)
def test_a_database_of_another_mlflow_is_found(tmp_path: Path, revision: str, problem: str) -> None:
    database = make_database(tmp_path / "mlflow.db", revision)
    finding = broken(database)
    assert finding.id == f"database.{problem}"
    assert revision in finding.observed


def test_another_programs_database_is_found(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    assert broken(tmp_path / "other.db").id == "database.foreign"


def test_a_database_that_another_process_writes_is_found(tmp_path: Path) -> None:
    database = make_database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert broken(database).id == "database.locked"


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Without root's power to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_database_that_one_may_only_read_is_found(open_folder: Path) -> None:
    database = make_database(open_folder / "mlflow.db")
    open_folder.chmod(0o777)
    database.chmod(0o444)
    with as_somebody_else():
        assert broken(database).id == "database.read-only"


def test_an_artifact_folder_that_cannot_be_written_is_found(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    database = make_database(open_folder.parent / "mlflow.db")
    open_folder.parent.chmod(0o777)
    database.chmod(0o666)
    with as_somebody_else():
        finding = broken(database, open_folder)
    assert finding.id == "artifact-folder.not-writable"
    assert "Permission denied" in finding.observed


def test_a_server_based_database_has_no_files_to_look_at() -> None:
    with pytest.raises(UsageError):
        check_local(Endpoint("t", "postgresql://h/d", ""), LocalFiles(), lambda: 0.0)


def test_looking_at_files_does_not_import_mlflow() -> None:
    program = (
        "import sys; from provision.adapters.local_store import LocalFiles;"
        "import provision.app.check, provision.app.check_local, provision.app.env;"
        "assert LocalFiles().known_revisions();"
        "print(sorted({'mlflow', 'pydantic', 'sqlalchemy', 'requests'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
