"""What a person reads before saying yes."""

from __future__ import annotations

from typing import Any

import pytest

from provision.model.plan import Action, Change, Drift, Plan
from provision.model.plan_words import words
from tests.unit.recorded import BUCKET, DATABASE, MACHINE, made_up, plan, update

ADDRESS = "module.tracking_server.aws_eip.this"
VPC = "module.network.aws_vpc.this[0]"


def change(address: str, action: Action, **more: Any) -> Change:
    type_ = address.split(".")[2]
    return Change(address, type_, "this", action, **more)


def said(*changes: Change) -> str:
    return "\n".join(words(Plan(changes)).sentences)


def updated(address: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    entry = {"address": address, "type": address.split(".")[2], "change": update(before, after)}
    return "\n".join(words(Plan.from_json(made_up(entry))).sentences)


def test_a_replaced_database_is_said_first_and_plainly() -> None:
    found = words(plan("kms"))
    assert found.headline == "4 to update, 3 to replace, 1 to destroy"
    assert found.sentences[0] == (
        "The database would be replaced: all experiments, runs and registered models in it would "
        "be lost."
    )
    assert "experiments and artifacts stay" in found.sentences[1]
    assert any(
        line.startswith("replace  database   the database (kms_key_id") for line in found.lines
    )


def test_a_first_run_is_a_few_lines_and_nothing_to_worry_about() -> None:
    found = words(plan("create"))
    assert (found.headline, found.sentences) == ("45 to create", ())
    assert [line.split()[1] for line in found.lines] == [
        "network", "server", "database", "artifacts", "alarms",
    ]  # fmt: skip
    assert "4 subnets" in found.lines[0]
    assert "way in for 203.0.113.0/24" in found.lines[1]


def test_nothing_to_do_is_one_line() -> None:
    assert str(words(plan("noop"))) == "nothing to change"
    assert words(Plan(outputs=("server",))).headline == "only what is recorded would change"


def test_every_change_is_in_a_line() -> None:
    found = words(plan("changes"))
    assert "create   server     way in for 198.51.100.0/24" in found.lines
    assert "update   database   the database (backup_retention_period: 7 -> 14)" in found.lines
    assert len(found.lines) == len(plan("changes").changes)


def test_what_somebody_else_did_is_told_with_what_becomes_of_it() -> None:
    found = words(plan("drift")).lines
    assert "create   alarms     alarm database-busy" in found
    assert "undo     alarms     alarm database-busy (removed)" in found
    assert "undo     server     the server's machine (tags.course: none -> other)" in found


def test_a_destroyed_stack_says_all_that_is_lost() -> None:
    text = "\n".join(words(plan("destroy")).sentences)
    for word in ("experiments", "artifacts", "address", "server"):
        assert word in text


@pytest.mark.parametrize("action", [Action.REPLACE, Action.DESTROY])
def test_a_last_snapshot_is_mentioned(action: Action) -> None:
    assert "but for the snapshot churn-final." in said(
        change(DATABASE, action, keeps="churn-final")
    )


@pytest.mark.parametrize(
    ("address", "action", "word"),
    [
        (BUCKET, Action.REPLACE, "all models, plots and other artifacts in it would be lost"),
        (ADDRESS, Action.REPLACE, "every client needs a new tracking URI"),
        (MACHINE, Action.DESTROY, "nobody could log"),
        (VPC, Action.REPLACE, "everything that is in it"),
    ],
)
def test_what_costs_data_or_access_has_a_sentence(address: str, action: Action, word: str) -> None:
    assert word in said(change(address, action))


@pytest.mark.parametrize("address", [DATABASE, BUCKET, MACHINE, ADDRESS])
def test_what_is_gone_is_said_to_be_made_anew(address: str) -> None:
    assert "is gone, removed by somebody else" in said(
        change(address, Action.CREATE, vanished=True)
    )
    assert said(change(address, Action.CREATE)) == ""


def test_what_is_taken_over_is_said() -> None:
    assert "left one resource" in said(change(BUCKET, Action.ADOPT))
    assert "left 2 resources" in said(change(BUCKET, Action.ADOPT), change(VPC, Action.ADOPT))


@pytest.mark.parametrize(
    ("address", "before", "after", "word"),
    [
        (MACHINE, {"instance_type": "a"}, {"instance_type": "b"}, "stop and start again"),
        (DATABASE, {"instance_class": "a"}, {"instance_class": "b"}, "would restart"),
        (DATABASE, {"engine_version": "15"}, {"engine_version": "16"}, "cannot be undone"),
        (DATABASE, {"deletion_protection": True}, {"deletion_protection": False}, "taken off"),
        (DATABASE, {"backup_retention_period": 30}, {"backup_retention_period": 7}, "than 7 days"),
        (DATABASE, {"backup_retention_period": 7}, {"backup_retention_period": 30}, ""),
        (DATABASE, {"deletion_protection": False}, {"deletion_protection": True}, ""),
        (MACHINE, {"monitoring": False}, {"monitoring": True}, ""),
    ],
)
def test_changes_in_place_say_what_they_interrupt(
    address: str, before: dict[str, Any], after: dict[str, Any], word: str
) -> None:
    text = updated(address, before, after)
    assert word in text
    assert bool(text) is bool(word)


def test_drift_alone_is_told_too() -> None:
    found = words(Plan(drift=(Drift(DATABASE, False, ("multi_az: true -> false",)),)))
    assert found.lines == ("undo     database   the database (multi_az: true -> false)",)
