"""The program that copies stores, with artifacts in S3 and databases that a machine handed over."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from provision.errors import MissingError
from provision.server.archive import archiving, stores
from provision.server.archive import bucket as archive_bucket
from provision.server.archive.artifacts import Objects
from provision.server.archive.collecting import collect
from provision.server.archive.journal import Journal
from provision.server.archive.reporting import Reporter
from provision.server.archive.troubles import explained
from provision.server.database import initialise
from provision.server.places import Place
from provision.server.schemas import TRACKING
from tests.server.data_jobs import archive, place_in, restore

pytestmark = pytest.mark.slow
BUCKET, REGION, OWNER = "churn-artifacts", "eu-west-1", "123456789012"
ROOT = f"s3://{BUCKET}/artifacts"
RUN = "a" * 32
PART = "provision/transfer/j1"
LARGE = 33 << 20
FILES = {
    f"1/{RUN}/artifacts/model/nöte 1.txt": b"na\xc3\xafve",
    f"1/{RUN}/artifacts/empty": b"",
    f"1/{RUN}/artifacts/large.bin": os.urandom(1 << 20) * (LARGE >> 20),
    **{f"1/{RUN}/artifacts/many/{n}": str(n).encode() for n in range(40)},
}


@dataclass
class S3:
    """A bucket in an account of its own."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing", "AWS_CONFIG_FILE": "/dev/null",
        }  # fmt: skip

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3", region_name=REGION, endpoint_url=self.endpoint,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def keys(self, prefix: str = "artifacts/") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def put(self, key: str, content: bytes, **noted: str) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content, Metadata=noted)

    def read(self, key: str) -> bytes:
        found: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found


@pytest.fixture
def s3() -> Iterator[S3]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    made = S3(f"http://{host}:{port}")
    where = {"LocationConstraint": REGION}
    made.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    yield made
    # One process has one set of accounts, whichever server it is that tells of them.
    get_backend("s3").reset()
    server.stop()


@pytest.fixture
def store(tmp_path: Path) -> Place:
    """A served store of one run."""
    place = place_in(tmp_path / "store", served=True, own_files=False)
    path = Path(place.database_url.removeprefix("sqlite:///"))
    initialise(stores.engine_for(place.database_url), TRACKING)
    shutil.copy(path, tmp_path / "empty.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, 'one', 'mlflow-artifacts:/1', 'active')"
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, experiment_id, lifecycle_stage, artifact_uri) "
            f"VALUES ('{RUN}', 'r', 1, 'active', '{ROOT}/1/{RUN}/artifacts')"
        )
    for name, content in FILES.items():
        file = Path(place.artifacts) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return place


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_a_store_goes_into_a_bucket_and_comes_back_the_same(
    s3: S3, store: Place, tmp_path: Path
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    assert archive(store, first).result["artifacts"]["files"] == len(FILES)
    target = ferried(s3, store, tmp_path)

    # Another file in the bucket is never overwritten.
    taken = f"artifacts/1/{RUN}/artifacts/many/7"
    s3.put(taken, b"somebody's")
    error = restore(first, target).error
    assert "many/7 is there already, with other content" in error["message"]
    assert s3.read(taken) == b"somebody's"
    s3.client.delete_object(Bucket=BUCKET, Key=taken)

    # What the first try has sent is compared and not sent again.
    done = restore(first, target).result
    assert (done["artifacts"]["files"], done["counts"]["runs"]) == (len(FILES), 1)
    assert sorted(s3.keys()) == sorted(f"artifacts/{name}" for name in FILES)
    assert s3.keys(PART) == [f"{PART}/filled/mlflow.db", f"{PART}/mlflow.db"]
    assert not list(Path(target.scratch).iterdir())

    # The way back, with keys that are no file's path.
    for key in ("1//odd", "folder/", "../out"):
        s3.put(f"artifacts/{key}", b"" if key.endswith("/") else b"1")
    filled = replace(target, database_url=f"s3://{BUCKET}/{PART}/filled/mlflow.db")
    made = archive(filled, again)
    assert (made.result["artifacts"]["files"], made.result["left"]) == (len(FILES), 0)
    assert made.result["skipped"] == 2
    assert sum("1//odd" in event.get("text", "") for event in made.events) == 1
    assert digests(again / "mlartifacts") == digests(first / "mlartifacts")
    with closing(sqlite3.connect(again / "mlflow.db")) as opened:
        found = opened.execute("SELECT artifact_uri FROM runs").fetchone()
    assert found == (f"mlflow-artifacts:/1/{RUN}/artifacts",)


def test_gc_deletes_what_nothing_in_the_database_needs(
    s3: S3, store: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no names that only look like MLflow's."""
    gone, lost, model = f"1/{RUN}/artifacts", f"1/{'b' * 32}/artifacts", f"1/models/m-{'d' * 32}"
    for number in range(3):
        s3.put(f"artifacts/{gone}/many/{number}", b"1")
    stays = [f"1/{'c' * 32}/artifacts/x", "1/notes/x", f"notes/{'b' * 32}/x", "2/other/x"]
    for name in (f"{lost}/a b/c", f"{model}/artifacts/MLmodel", "2/gone/x", *stays):
        s3.put(f"artifacts/{name}", b"12345")
    with closing(sqlite3.connect(store.database_url.removeprefix("sqlite:///"))) as rows, rows:
        rows.execute("UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = 1")
        rows.execute(
            "INSERT INTO runs (run_uuid, name, experiment_id, lifecycle_stage, artifact_uri) "
            f"VALUES ('{'c' * 32}', 'r', 1, 'active', 'mlflow-artifacts:/1/{'c' * 32}/artifacts')"
        )
        # Two experiments below the third one's folder, of which one is deleted with it.
        rows.executemany(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, "
            "last_update_time) VALUES (?, ?, ?, ?, 1)",
            [(2, "two", "mlflow-artifacts:/2", "deleted"),
             (3, "three", "mlflow-artifacts:/2/other", "active"),
             (4, "four", f"{ROOT}/2/gone", "deleted")],
        )  # fmt: skip
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    place = replace(store, artifacts=ROOT, region=REGION, owner=OWNER)
    job = {"older_than": 0, "delete": False}
    shown = collect(place, Reporter(io.StringIO()), job)
    assert [(i["number"], i["files"]) for i in shown["items"]] == [(1, 3), (0, 0), (2, 1), (2, 2)]
    assert len(s3.keys()) == 3 + 3 + len(stays), "looking changes nothing"
    done = collect(place, Reporter(io.StringIO()), {**job, "delete": True})
    assert done["items"] == shown["items"] and done["deleted"] is True
    assert s3.keys() == sorted(f"artifacts/{name}" for name in stays)


def test_a_disk_that_fills_while_artifacts_come_is_named_and_nothing_is_fetched_twice(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth file goes to a device that is full; the next try has room."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    for number in range(6):
        s3.put(f"artifacts/1/{number}", b"x" * number)
    place = Place("churn", "sqlite://", ROOT, region=REGION, owner=OWNER)
    folder, fetched = tmp_path / "archive", []
    folder.mkdir()

    def copy(room: int) -> tuple[int, int]:
        fetched.clear()

        def spare(below: Path) -> Path:
            fetched.append(below)
            return below / "spare" if len(fetched) <= room else Path("/dev/full")

        monkeypatch.setattr(archiving, "spare_in", spare)
        with closing(Journal(folder)) as journal, explained("writing the archive"):
            work = archiving._Work(place, folder, journal, Reporter(io.StringIO()), "")
            archiving._artifacts(work, Objects(archive_bucket.Bucket(ROOT, REGION, OWNER), 1))
            return journal.totals()

    with pytest.raises(MissingError, match="No space left on device") as full:
        copy(room=3)
    assert "free space on that disk" in full.value.next_step
    assert (copy(room=99), len(fetched)) == ((6, 15), 3)
    copies = {path.name: path.read_bytes() for path in (folder / "mlartifacts/1").iterdir()}
    assert copies == {str(number): b"x" * number for number in range(6)}


def test_a_folder_is_deleted_in_as_many_requests_as_it_takes(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(archive_bucket, "_MOST_DELETED", 2)
    for name in (*map(str, range(5)), "ff/6"):
        s3.put(f"artifacts/1/f/{name}", b"1")
    s3.put("artifacts/1/ff/7", b"1")
    archive_bucket.Bucket(ROOT, REGION, OWNER).remove("1/f")
    assert s3.keys() == ["artifacts/1/ff/7"]


def ferried(s3: S3, store: Place, folder: Path) -> Place:
    """An empty stack in an account, whose machine has handed its database over."""
    file, scratch = folder / "empty.db", folder / "scratch"
    scratch.mkdir()
    content = file.read_bytes()
    s3.put(f"{PART}/mlflow.db", content, sha256=hashlib.sha256(content).hexdigest())
    return replace(
        store, artifacts=ROOT, region=REGION, owner=OWNER, environment=s3.environment,
        database_url=f"s3://{BUCKET}/{PART}/mlflow.db", scratch=str(scratch),
    )  # fmt: skip
