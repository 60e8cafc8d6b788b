"""Points that a stack can go back to: their names, their list, and who may touch them when."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.app import backups
from provision.errors import MissingError, RefusedError, UsageError
from provision.model.backups import Backup, last_made, name_at, named, newest_first, require_name
from provision.model.rewound import Rewound
from provision.targets.aws_record import AwsRecord
from provision.targets.aws_rewind import Rewinding, require_none_under_way
from provision.targets.backup_folder import BackupFolder
from provision.targets.base import Progress
from tests.progress import Quiet

NOW = datetime(2026, 11, 27, 22, 31, 5, tzinfo=UTC)
ONE = Backup("one", "2026-11-26T08:00:00+00:00", 10, True, "there")
TWO = replace(ONE, name="two", at="2026-11-27T08:00:00+00:00")
HALF = replace(TWO, name="half", at="2026-11-28T08:00:00+00:00", ready=False)


@pytest.mark.parametrize("name", ["a", "before-the-exam", "2026-11-27", "x" * 40])
def test_names_that_aws_and_folders_take(name: str) -> None:
    assert require_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "Friday", "../up", "a/b", "x" * 41, "é"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a backup's name"):
        require_name(name)


def test_a_name_of_its_own_says_when() -> None:
    assert require_name(name_at(NOW)) == "20261127-223105"


def test_only_a_whole_one_can_be_gone_back_to() -> None:
    found = newest_first([ONE, HALF, TWO])
    assert [backup.name for backup in found] == ["half", "two", "one"]
    assert named(found, "one") == ONE
    with pytest.raises(MissingError, match="no backup three"):
        named(found, "three")
    with pytest.raises(MissingError, match="not whole"):
        named(found, "half")


def test_the_last_backup_is_the_newest_whole_one() -> None:
    assert last_made([ONE, HALF, TWO]) == TWO.at
    assert last_made([HALF]) == last_made([]) == ""


def test_a_folders_backups_are_those_with_a_manifest(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "points")
    assert (folder.all(), folder.last_made()) == ((), "")
    for name in ("whole", "cut-off"):
        place = folder.new(name)
        place.mkdir(parents=True)
        (place / "mlflow.db").write_bytes(b"12345")
    made = {"created_at": ONE.at, "mlflow": "3.17.2"}
    (folder.place("whole") / "manifest.json").write_text(json.dumps(made))
    whole, half = folder.all()
    assert (whole.name, whole.at, whole.ready, whole.mlflow_version) == (
        "whole", ONE.at, True, "3.17.2",
    )  # fmt: skip
    assert (half.name, half.ready, half.bytes) == ("cut-off", False, 5)
    assert folder.last_made() == ONE.at
    assert folder.new("cut-off") == folder.place("cut-off"), "an unfinished one is gone on with"
    with pytest.raises(UsageError, match="a backup whole already"):
        folder.new("whole")
    assert folder.delete("cut-off").name == "cut-off"
    with pytest.raises(MissingError, match="no backup cut-off"):
        folder.delete("cut-off")
    assert [backup.name for backup in folder.all()] == ["whole"]


@dataclass
class Kept:
    """Backups that remember what became of them."""

    found: Sequence[Backup] = (TWO, HALF, ONE)
    done: list[str] = field(default_factory=list)

    def make(self, name: str, _progress: Progress) -> Backup:
        self.done.append(f"made {name}")
        return replace(ONE, name=name)

    def all(self) -> Sequence[Backup]:
        return self.found

    def delete(self, name: str) -> Backup:
        self.done.append(f"deleted {name}")
        return named(self.found, name) if name != "half" else HALF

    def back_to(self, backup: Backup, _progress: Progress) -> Sequence[str]:
        self.done.append(f"back to {backup.name}")
        return ["a note"]


def refuse(_: Backup) -> None:
    raise RefusedError("nobody said yes", next_step="--yes")


def agree(_: Backup) -> None:
    pass


def test_one_is_made_under_its_name_or_the_times() -> None:
    kept = Kept()
    assert backups.make(kept, "churn", None, NOW, Quiet()).backup.name == "20261127-223105"
    assert backups.make(kept, "churn", "exam", NOW, Quiet()).backup.name == "exam"
    with pytest.raises(UsageError):
        backups.make(kept, "churn", "Exam!", NOW, Quiet())
    assert kept.done == ["made 20261127-223105", "made exam"]


@pytest.mark.parametrize("confirm", [agree, refuse])
def test_nothing_is_deleted_or_undone_without_consent(confirm: Callable[[Backup], None]) -> None:
    kept = Kept()
    if confirm is refuse:
        with pytest.raises(RefusedError):
            backups.delete(kept, "churn", "one", confirm)
        with pytest.raises(RefusedError):
            backups.restore(kept, "churn", "one", confirm, Quiet())
        assert kept.done == []
        return
    assert backups.delete(kept, "churn", "half", confirm).backup == HALF
    assert backups.restore(kept, "churn", "one", confirm, Quiet()).notes == ["a note"]
    with pytest.raises(MissingError, match="not whole"):
        backups.restore(kept, "churn", "half", confirm, Quiet())
    assert kept.done == ["deleted half", "back to one"]


def test_the_last_backup_of_a_stack() -> None:
    assert backups.last_backup(Kept()) == TWO.at
    assert backups.last_backup(Kept(found=())) == ""


def test_a_way_back_that_was_cut_off_is_gone_on_with_before_all_else() -> None:
    record = AwsRecord(
        "churn", "provision.yaml", "123456789012", "eu-west-1", False, "local", "3.17.2", ONE.at
    )
    require_none_under_way(None)
    require_none_under_way(record)
    under_way = {"backup": "one", "database": "db-1", "before": "before-x"}
    cut_off = AwsRecord.from_json(replace(record, rewinding=under_way).to_json())
    assert cut_off is not None
    assert Rewinding.of(cut_off.rewinding) == Rewinding("one", "db-1", "before-x")
    with pytest.raises(RefusedError, match="backup one was cut off") as refused:
        require_none_under_way(cut_off)
    assert "provision restore --from-backup one" in refused.value.next_step


def test_what_came_back_is_told_in_words() -> None:
    done = Rewound(restored=1, bytes=2_000_000) + Rewound(restored=1, hidden=3)
    assert str(done) == "2 artifacts back (2.0 MB), 3 of later hidden"
