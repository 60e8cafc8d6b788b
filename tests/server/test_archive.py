"""A store copied by the program, and read by MLflow's own client on both sides."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.server.archive import stores
from provision.server.database import initialise
from provision.server.places import Place
from provision.server.schemas import AUTH
from tests.server import data_jobs
from tests.server.conftest import Cluster
from tests.server.data_jobs import archive, move, place_in, restore
from tests.server.full_stores import (
    artifacts_in,
    artifacts_of,
    client_program,
    filled,
    is_whole,
    rows_in,
    seen,
    settings,
)
from tests.server.running import execute

pytestmark = pytest.mark.slow
postgres = pytest.mark.needs("postgres")
ENGINES = ["sqlite", pytest.param("postgres", marks=postgres)]


@pytest.fixture
def url_of(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[str, str], str | None]]:
    """Makes an empty database of an engine; PostgreSQL is started for those who need it."""
    made: list[tuple[Cluster, str]] = []

    def make(engine: str, name: str) -> str | None:
        if engine == "sqlite":
            return None
        cluster: Cluster = request.getfixturevalue("cluster")
        cluster.query(f"CREATE DATABASE {name}")
        made.append((cluster, name))
        return cluster.url(name)

    yield make
    for cluster, name in made:
        cluster.query(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_sees_the_same_in_a_restored_store(
    full: tuple[Place, Any],
    archived: Path,
    workshop: Path,
    tmp_path: Path,
    url_of: Callable[[str, str], str | None],
    engine: str,
) -> None:
    target = place_in(tmp_path / "new", url_of(engine, "restored"))
    done = restore(archived, target)
    assert done.result["artifacts"]["files"] == artifacts_in(archived)
    assert seen(target, workshop) == full[1]
    # From there the other way, into the other kind of database.
    again = archive(target, tmp_path / "again").result
    assert (again["left"], again["counts"]) == (0, done.result["counts"])
    back = place_in(tmp_path / "back")
    assert move(target, back).result["counts"] == done.result["counts"]
    assert seen(back, workshop) == full[1]


@postgres
def test_postgres_to_postgres_and_new_rows_get_new_numbers(
    full: tuple[Place, Any],
    workshop: Path,
    tmp_path: Path,
    url_of: Callable[[str, str], str | None],
) -> None:
    first = filled(place_in(tmp_path / "first", url_of("postgres", "first")), workshop)
    before = seen(first, workshop)
    second = place_in(tmp_path / "second", url_of("postgres", "second"))
    move(first, second)
    assert seen(second, workshop) == before
    filled_twice = client_program(second, workshop, "print(client.create_experiment('one more'))")
    assert int(filled_twice) == max(int(e["experiment_id"]) for e in before["experiments"]) + 1
    assert len(before["experiments"]) == len(full[1]["experiments"])


def test_an_archive_holds_what_it_says_and_coreutils_can_check_it(archived: Path) -> None:
    assert {path.name for path in archived.iterdir()} == {
        "README.txt", "SHA256SUMS", "manifest.json", "mlartifacts", "mlflow.db",
    }  # fmt: skip
    assert archived.stat().st_mode & 0o077 == 0
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=archived, capture_output=True, text=True, check=True
    )
    assert len(checked.stdout.splitlines()) == 1 + artifacts_in(archived)
    rows = execute(archived / "mlflow.db", "SELECT artifact_uri FROM runs")
    assert rows and all(str(row[0]).startswith("mlflow-artifacts:/") for row in rows)


def test_the_source_is_not_changed(workshop: Path, tmp_path: Path) -> None:
    place = filled(place_in(tmp_path / "source"), workshop)
    file = Path(place.database_url.removeprefix("sqlite:///"))
    before = file.read_bytes(), sorted(Path(place.artifacts).rglob("*"))
    archive(place, tmp_path / "archive")
    move(place, place_in(tmp_path / "target"))
    assert (file.read_bytes(), sorted(Path(place.artifacts).rglob("*"))) == before


def test_a_killed_archive_goes_on_where_it_stopped(small: Place, tmp_path: Path) -> None:
    artifacts_of(small, number=60, size=6 << 20)
    folder = tmp_path / "archive"
    job = {"action": "archive", "source": small.to_json(), "folder": str(folder), "users": True}
    process = data_jobs.start(job)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("phase") == "copying artifacts" and event["done"] > event["total"] / 2:
            break
    process.kill()
    process.wait()
    assert not (folder / "manifest.json").exists()
    before = {p: p.stat().st_ino for p in folder.glob("mlartifacts/**/*.bin")}
    assert 0 < len(before) < 60
    refused = restore(folder, place_in(tmp_path / "new")).error
    assert "was not finished" in refused["message"] and refused["exit_code"] == 5

    assert archive(small, folder).result["artifacts"]["files"] == 60
    after = {p: p.stat().st_ino for p in folder.glob("mlartifacts/**/*.bin")}
    # What was copied in the last moment before the kill may not be noted yet.
    assert sum(after[path] == inode for path, inode in before.items()) >= 1
    assert is_whole(folder)
    assert not list(folder.glob(".*"))


def test_an_interrupted_archive_forgets_what_the_source_lost(small: Place, tmp_path: Path) -> None:
    artifacts_of(small, number=2, size=10)
    folder = tmp_path / "archive"
    archive(small, folder)
    # As if it had been killed just before its last word.
    (folder / "manifest.json").unlink()
    (folder / ".unfinished").write_text(f"{small.name} {small.artifacts}")
    (next(Path(small.artifacts).rglob("0.bin"))).unlink()
    assert archive(small, folder).result["artifacts"]["files"] == 1
    assert [path.name for path in folder.rglob("*.bin")] == ["1.bin"]


def test_the_program_ends_with_whoever_started_it(small: Place, tmp_path: Path) -> None:
    artifacts_of(small, number=200, size=1 << 20)
    job = {"action": "archive", "source": small.to_json(), "folder": str(tmp_path / "archive")}
    process = data_jobs.start({**job, "users": True})
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=60) == 1
    assert not (tmp_path / "archive/manifest.json").exists()


def test_two_archives_into_one_folder_at_once_are_refused(small: Place, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    artifacts_of(small, number=20, size=1 << 20)
    job = {"action": "archive", "source": small.to_json(), "folder": str(folder), "users": True}
    first = data_jobs.start(job)
    while not (folder / ".journal.db").exists():
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)
    try:
        assert "another command writes" in archive(small, folder).error["message"]
    finally:
        first.send_signal(signal.SIGCONT)
    assert first.stdout is not None and json.loads(first.stdout.readlines()[-1])["event"] == "done"
    first.wait()


def test_rows_that_come_while_it_is_read_are_all_there_or_all_not(
    small: Place, workshop: Path, tmp_path: Path
) -> None:
    """A client logs all the time; each run of the archive has its parameter and its metric."""
    program = (
        "mlflow.set_experiment('busy')\nfor n in range(100000):\n"
        "  with mlflow.start_run(): mlflow.log_param('n', n)\n"
    )
    environment = {"MLFLOW_TRACKING_URI": small.database_url, "PATH": os.environ["PATH"]}
    writer = subprocess.Popen(
        [sys.executable, "-c", "import mlflow\n" + program],
        env=environment | settings(small), cwd=workshop, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        start = rows_in(small, "runs")
        while rows_in(small, "runs") < start + 5:
            assert writer.poll() is None
        counts = archive(small, tmp_path / "archive").result["counts"]
        assert rows_in(small, "runs") > counts["runs"] > start
    finally:
        writer.kill()
        writer.wait()
    restore(tmp_path / "archive", place_in(tmp_path / "new"))


def test_memory_does_not_grow_with_the_store(small: Place, tmp_path: Path) -> None:
    """250 MB in one file and 300,000 rows, against nothing of either."""
    lean = archive(small, tmp_path / "lean").memory
    artifacts_of(small, number=1, size=250 << 20)
    file = Path(small.database_url.removeprefix("sqlite:///"))
    run = str(execute(file, "SELECT run_uuid FROM runs LIMIT 1")[0][0])
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        rows = ((f"m{n}", n / 7, n, run, n, False) for n in range(300_000))
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "VALUES (?, ?, ?, ?, ?, ?)", rows,
        )  # fmt: skip
    full = archive(small, tmp_path / "full")
    assert full.result["artifacts"]["bytes"] == 250 << 20
    assert full.result["counts"]["metrics"] > 300_000
    assert full.memory < lean + (40 << 20)
    there = restore(tmp_path / "full", place_in(tmp_path / "new"))
    assert there.memory < lean + (40 << 20)


def test_experiments_elsewhere_on_this_disk_come_along(
    small: Place, workshop: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "my project"
    outside.mkdir()
    (outside / "private.txt").write_text("not an artifact")
    program = (
        f"id = client.create_experiment('outside', artifact_location={str(outside)!r})\n"
        "run = client.create_run(id); client.log_text(run.info.run_id, 'here', 'a/b.txt')\n"
        "client.create_registered_model('m')\n"
        "client.create_model_version('m', run.info.artifact_uri + '/a', run.info.run_id)\n"
        "print(run.info.run_id)"
    )
    run = client_program(small, workshop, program)
    folder = tmp_path / "archive"
    assert archive(small, folder).result["left"] == 0
    assert not list(folder.rglob("private.txt"))
    target = place_in(tmp_path / "new")
    restore(folder, target)
    shutil.rmtree(outside)
    read = f"uri = client.get_run({run!r}).info.artifact_uri\n"
    shown = read + "print(mlflow.artifacts.load_text(uri + '/a/b.txt'))"
    assert client_program(target, workshop, shown) == "here"
    (source,) = execute(
        tmp_path / "new/mlflow.db", "SELECT source FROM model_versions WHERE name = 'm'"
    )
    assert str(source[0]).startswith(Path(target.artifacts).as_uri())


def test_locations_of_other_systems_are_kept_and_counted(
    small: Place, workshop: Path, tmp_path: Path
) -> None:
    client_program(small, workshop, "client.create_experiment('s', 's3://bucket/churn')")
    served = replace(small, own_files=False)
    result = archive(served, tmp_path / "archive").result
    assert (result["left"], result["left_examples"]) == (1, ["s3://bucket/churn"])


def test_a_link_out_of_the_artifacts_is_left_out(small: Place, tmp_path: Path) -> None:
    artifacts_of(small, number=1, size=10)
    folder = next(Path(small.artifacts).rglob("0.bin")).parent
    (folder / "passwords").symlink_to("/etc/passwd")
    (folder / "again.bin").symlink_to("0.bin")
    done = archive(small, tmp_path / "archive")
    assert (done.result["skipped"], done.result["artifacts"]["files"]) == (1, 2)
    assert any("passwords" in event.get("text", "") for event in done.events)


def test_files_with_names_that_no_text_holds(small: Place, tmp_path: Path) -> None:
    artifacts_of(small, number=1, size=10)
    folder = next(Path(small.artifacts).rglob("0.bin")).parent
    odd = [b"new\nline", b"back\\slash", b"\xff\xfe", b" space ", "é".encode()]
    for name in odd:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    archive(small, tmp_path / "archive")
    assert is_whole(tmp_path / "archive")
    target = place_in(tmp_path / "new")
    assert restore(tmp_path / "archive", target).result["artifacts"]["files"] == 6
    for name in odd:
        place = os.fsencode(target.artifacts) + b"/1/" + b"a" * 32 + b"/artifacts/" + name
        assert Path(os.fsdecode(place)).read_bytes() == name


def test_an_mlruns_folder_is_restored_from_wherever_it_lies_now(
    workshop: Path, tmp_path: Path
) -> None:
    program = (
        "mlflow.set_experiment('old')\n"
        "with mlflow.start_run() as run:\n"
        "  mlflow.log_metric('auc', 0.5, step=3); mlflow.log_param('p', 'é')\n"
        "  mlflow.log_text('naïve', 'a/b.txt')\n"
        "client.create_registered_model('m')\n"
        "client.create_model_version('m', run.info.artifact_uri + '/a', run.info.run_id)\n"
        "gone = client.create_run(run.info.experiment_id); client.delete_run(gone.info.run_id)\n"
        "print(run.info.run_id)"
    )
    folder = tmp_path / "first" / "mlruns"
    folder.parent.mkdir()
    old = Place("old", folder.as_uri(), str(folder))
    run = client_program(old, workshop, f"import warnings\n{program}").splitlines()[-1]
    moved = folder.parent.rename(tmp_path / "second")
    target = place_in(tmp_path / "new")
    result = restore(moved, target).result
    assert (result["counts"]["runs"], result["artifacts"]["files"], result["left"]) == (2, 1, 0)
    read = (
        f"run = client.get_run({run!r}); uri = run.info.artifact_uri\n"
        "text = mlflow.artifacts.load_text(uri + '/a/b.txt')\n"
        f"m = client.get_metric_history({run!r}, 'auc')[0]\n"
        "v = client.get_model_version('m', '1')\n"
        "print(text, run.data.params, m.value, m.step, v.source == uri + '/a')"
    )
    assert client_program(target, workshop, read) == "naïve {'p': 'é'} 0.5 3 True"
    assert not list(tmp_path.rglob(".provision-mlruns-*"))


def test_two_stores_become_one_where_no_name_and_no_id_is_taken(
    full: tuple[Place, Any], archived: Path, workshop: Path, tmp_path: Path
) -> None:
    target = place_in(tmp_path / "store")
    program = (
        "mlflow.set_experiment('own')\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('auc', 0.5); mlflow.log_text('mine', 'own.txt')\n"
        "client.log_batch(client.create_run('0').info.run_id, params=[])\n"
        "print(run.info.experiment_id)"
    )
    assert client_program(target, workshop, program) == "1"
    before = seen(target, workshop)
    done = restore(archived, target, room="mixed", users=False).result
    new = done["renumbered"]
    assert set(new) == {e["experiment_id"] for e in full[1]["experiments"]} & {"1"}
    after = seen(target, workshop)
    added = renumbered(full[1], new)
    for kind in ("runs", "models", "registry", "prompts", "traces"):
        both = [json.dumps(item, sort_keys=True) for item in before[kind] + added[kind]]
        assert sorted(json.dumps(item, sort_keys=True) for item in after[kind]) == sorted(both)
    names = [e["name"] for e in before["experiments"] + added["experiments"]]
    assert sorted(e["name"] for e in after["experiments"]) == sorted({*names})

    database = Path(target.database_url.removeprefix("sqlite:///"))
    mixed = database.read_bytes()
    error = restore(archived, target, room="mixed", users=False).error
    assert "experiments of the same name: deleted experiment, models" in error["message"]
    assert "runs of the same id" in error["message"] and "nothing was changed" in error["next_step"]
    assert database.read_bytes() == mixed


def renumbered(value: Any, new: dict[str, int]) -> Any:
    """The same with other numbers of experiments, wherever a client is told one."""
    if isinstance(value, dict):
        return {
            key: str(new.get(item, item)) if key == "experiment_id" else renumbered(item, new)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [renumbered(item, new) for item in value]
    return value


def test_one_persons_part_leaves_without_anybody_elses(
    full: tuple[Place, Any], tmp_path: Path
) -> None:
    """Ana manages an experiment and a model; somebody else's runs and all accounts stay behind."""
    users = tmp_path / "users.db"
    initialise(stores.engine_for(f"sqlite:///{users}"), AUTH)
    traces = next(e for e in full[1]["experiments"] if e["name"] == "traces")["experiment_id"]
    with contextlib.closing(sqlite3.connect(users)) as accounts, accounts:
        accounts.executescript(
            "INSERT INTO users (id, username, password_hash, is_admin) VALUES (7, 'ana', 'x', 0);"
            "INSERT INTO roles (id, name, workspace) VALUES (3, '__user_7__', 'default');"
            "INSERT INTO role_permissions (role_id, resource_type, resource_pattern, permission) "
            f"VALUES (3, 'experiment', '{traces}', 'MANAGE'), (3, 'experiment', '1', 'READ'), "
            "(3, 'registered_model', 'Modèle', 'MANAGE');"
        )
    place = replace(full[0], users_url=f"sqlite:///{users}")
    job = {"action": "archive", "source": place.to_json(), "users": True}
    own = tmp_path / "own"
    found = data_jobs.run({**job, "user": "ana", "folder": str(own)}).result
    counts = {name: found["counts"][name] for name in ("runs", "traces", "registered_models")}
    assert (counts, found["accounts"]) == ({"runs": 0, "traces": 1, "registered_models": 1}, None)
    with contextlib.closing(sqlite3.connect(own / "mlflow.db")) as opened:
        names = opened.execute("SELECT name FROM experiments ORDER BY experiment_id").fetchall()
        spans = opened.execute("SELECT count(*) FROM spans").fetchone()
    assert (names, spans) == ([("Default",), ("traces",)], (2,))
    assert not (own / "users.db").exists()
    files = [path for path in (own / "mlartifacts").rglob("*") if path.is_file()]
    # The model's own version lies in a run of somebody else: its files alone come along.
    assert {path.name for path in files if traces not in path.parts} == {"weights.bin"}
    restored = place_in(tmp_path / "hers")
    assert restore(own, restored).result["counts"] == found["counts"]
    error = data_jobs.run({**job, "user": "bob", "folder": str(tmp_path / "no")}).error
    assert "belongs to bob" in error["message"]
