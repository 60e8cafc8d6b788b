"""What the program that copies stores deletes for good, and what it keeps."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from provision.server.archive import stores
from provision.server.database import initialise
from provision.server.schemas import AUTH
from tests.server.data_jobs import collect, place_in
from tests.server.full_stores import client_program, filled, seen

pytestmark = pytest.mark.slow


def test_gc_shows_first_then_deletes_only_what_is_in_the_trash(
    workshop: Path, tmp_path: Path
) -> None:
    place = filled(place_in(tmp_path / "store"), workshop)
    before = seen(place, workshop)
    orphan = Path(place.artifacts) / "1" / ("b" * 32) / "artifacts"
    orphan.mkdir(parents=True)
    (orphan / "lost.bin").write_bytes(b"12345")
    own = Path(place.artifacts) / "notes"
    own.mkdir()
    shown = collect(place).result
    assert {item["what"]: item["number"] for item in shown["items"]} == {
        "deleted runs": 2,
        "deleted models of runs": 0,
        "deleted experiments": 1,
        "artifact folders of nothing": 1,
    }
    assert [item["bytes"] for item in shown["items"]] == [11, 0, 0, 5]
    assert seen(place, workshop) == before, "looking changes nothing"
    assert all(item["number"] == 0 for item in collect(place, older_than=3600).result["items"][:3])

    assert collect(place, delete=True).result["deleted"] is True
    after = seen(place, workshop)
    alive = [run for run in before["runs"] if "deleted" not in run["info"]["lifecycle_stage"]]
    assert after["runs"] == alive
    assert after["registry"] == before["registry"] and after["traces"] == before["traces"]
    assert not orphan.exists() and own.exists()
    assert not any(item["number"] for item in collect(place).result["items"])


DELETED = "client.delete_experiment(number)\n"


def test_gc_leaves_nobody_a_grant_on_the_number_that_the_next_experiment_gets(
    workshop: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.db"
    initialise(stores.engine_for(f"sqlite:///{users}"), AUTH)
    place = replace(place_in(tmp_path / "store"), users_url=f"sqlite:///{users}")
    program = "number = client.create_experiment({!r})\nprint(number)\n"
    gone = client_program(place, workshop, program.format("a student's") + DELETED)
    with contextlib.closing(sqlite3.connect(users)) as accounts, accounts:
        accounts.executescript(
            "INSERT INTO roles (id, name, workspace) VALUES (3, '__user_7__', 'default');"
            "INSERT INTO role_permissions (role_id, resource_type, resource_pattern, permission) "
            f"VALUES (3, 'experiment', '{gone}', 'MANAGE'), (3, 'scorer', '{gone}/s', 'MANAGE'), "
            f"(3, 'experiment', '{gone}0', 'READ');"
        )
    assert collect(place, delete=True).result["deleted"] is True
    assert client_program(place, workshop, program.format("somebody else's")) == gone
    with contextlib.closing(sqlite3.connect(users)) as accounts:
        left = accounts.execute("SELECT resource_pattern FROM role_permissions").fetchall()
    assert left == [(f"{gone}0",)]


def test_gc_keeps_a_deleted_run_in_which_a_registered_model_lies(
    workshop: Path, tmp_path: Path
) -> None:
    place = filled(place_in(tmp_path / "store"), workshop)
    program = (
        "version = client.get_model_version('Modèle', '2')\n"
        "client.delete_run(version.run_id)\n"
        "client.delete_experiment(client.get_run(version.run_id).info.experiment_id)\n"
        "print(version.source)"
    )
    source = client_program(place, workshop, program)
    found = collect(place, delete=True).result
    assert found["kept"] == 2
    assert (Path(source.removeprefix("file://")) / "weights.bin").exists()
