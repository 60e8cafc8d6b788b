"""What the program that copies stores refuses, and that it changes nothing then."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from provision.server.places import Place
from tests.server.data_jobs import archive, move, place_in, restore
from tests.server.full_stores import artifacts_in, rows_in
from tests.server.running import execute

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("what", ["mlartifacts", "mlflow.db", "manifest.json", "SHA256SUMS"])
def test_a_damaged_archive_is_refused_and_changes_nothing(
    copy: Path, tmp_path: Path, what: str
) -> None:
    victim = (
        next(p for p in (copy / what).rglob("*") if p.is_file()) if "art" in what else copy / what
    )
    content = bytearray(victim.read_bytes() or b"x")
    middle = content.find(b"champion") if what == "mlflow.db" else len(content) // 2
    content[middle] ^= 0x01
    victim.write_bytes(content)
    target = place_in(tmp_path / "new")
    refused = restore(copy, target).error
    assert refused["exit_code"] == 4, refused
    assert refused["next_step"]
    assert rows_in(target, "runs") == 0
    shutil.rmtree(copy)


def test_a_lost_artifact_is_noticed(copy: Path, tmp_path: Path) -> None:
    next(copy.rglob("empty.txt")).unlink()
    assert (
        "empty.txt is not as it was" in restore(copy, place_in(tmp_path / "new")).error["message"]
    )


def test_an_archive_that_somebody_went_on_with_is_restored_when_told(
    copy: Path, tmp_path: Path
) -> None:
    execute(copy / "mlflow.db", "DELETE FROM registered_model_aliases")
    target = place_in(tmp_path / "new")
    refused = restore(copy, target).error
    assert "registered_model_aliases" in refused["message"] and "--changed" in refused["next_step"]
    restore(copy, target, changed=True)
    assert rows_in(target, "runs") == rows_in(place_in(copy), "runs") > 0
    assert rows_in(target, "registered_model_aliases") == 0


def test_stores_are_never_mixed_and_one_that_goes_back_is_replaced(
    archived: Path, tmp_path: Path, full: tuple[Place, Any]
) -> None:
    target = place_in(tmp_path / "new")
    restore(archived, target)
    before = rows_in(target, "runs")
    for refused in (restore(archived, target).error, move(full[0], target).error):
        assert refused["exit_code"] == 4
        assert "not empty: 4 experiments, 6 runs" in refused["message"]
    assert rows_in(target, "runs") == before

    file = Path(target.database_url.removeprefix("sqlite:///"))
    execute(file, "DELETE FROM latest_metrics")
    execute(file, "INSERT INTO experiments (experiment_id, name) VALUES (77, 'of later')")
    weights = next(Path(target.artifacts).rglob("weights.bin"))
    right, other = weights.read_bytes(), weights.with_name("of-later.bin")
    weights.write_bytes(b"changed")
    other.write_bytes(b"later")
    restore(archived, target, room="replaced")
    for table in ("experiments", "runs", "latest_metrics"):
        assert rows_in(target, table) == rows_in(place_in(archived), table)
    assert (weights.read_bytes(), other.exists()) == (right, True)


def test_an_artifact_in_the_way_is_not_overwritten(archived: Path, tmp_path: Path) -> None:
    name = next(p for p in archived.rglob("weights.bin")).relative_to(archived / "mlartifacts")
    target = place_in(tmp_path / "new")
    other = Path(target.artifacts) / name
    other.parent.mkdir(parents=True)
    other.write_text("another")
    refused = restore(archived, target).error
    assert str(other) in refused["message"] and other.read_text() == "another"
    assert rows_in(target, "runs") == 0
    other.unlink()
    assert restore(archived, target).result["artifacts"]["files"] == artifacts_in(archived)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ({"notes.txt": "mine"}, 4, "not empty"),
        ({"manifest.json": "{}"}, 4, "cannot be read"),
        ({".unfinished": "another /elsewhere", "mlflow.db.part": ""}, 4, "not empty"),
    ],
)
def test_an_archive_is_written_into_no_folder_of_others(
    small: Place, tmp_path: Path, content: dict[str, str], code: int, words: str
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    refused = archive(small, folder).error
    assert (refused["exit_code"], words in refused["message"]) == (code, True), refused
    assert {path.name for path in folder.iterdir()} == set(content)


def test_a_folder_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    refused = restore(tmp_path / "photos", place_in(tmp_path / "new")).error
    assert refused["exit_code"] == 5 and "holds no archive" in refused["message"]


@pytest.mark.parametrize(("revision", "words"), [("f" * 12, "newer"), ("bd07f7e963c5", "older")])
def test_another_schema_is_refused_with_the_way_out(
    copy: Path, small: Place, tmp_path: Path, revision: str, words: str
) -> None:
    for place in (small, place_in(copy)):
        file = Path(place.database_url.removeprefix("sqlite:///"))
        execute(file, f"UPDATE alembic_version SET version_num = '{revision}'")
    for refused in (
        archive(small, tmp_path / "archive").error,
        restore(copy, place_in(tmp_path / "new")).error,
    ):
        assert refused["exit_code"] == 4
        assert f"from an {words} MLflow".replace("an newer", "a newer") in refused["message"]
