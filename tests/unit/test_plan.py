"""Reading Terraform's plans: real ones as recorded, and what could go wrong in others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.errors import ProvisionError
from provision.model.differences import differences
from provision.model.plan import Action, Change, Plan
from provision.model.plan_words import words
from tests.unit.recorded import (
    BUCKET,
    DATABASE,
    MACHINE,
    PLANS,
    document,
    made_up,
    plan,
    update,
)

ALARM = 'module.lifetime.aws_cloudwatch_metric_alarm.this["database-busy"]'
CANARY = "hunter2-canary"


def change_of(found: Plan, address: str) -> Change:
    (change,) = (c for c in found.changes if c.address == address)
    return change


def done(actions: list[str], **more: Any) -> Plan:
    """A plan that does this to the database."""
    change = {"actions": actions, "before": {}, "after": {}, **more}
    return Plan.from_json(
        made_up({"address": DATABASE, "type": "aws_db_instance", "change": change})
    )


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("create", {Action.CREATE: 45}),
        ("noop", {}),
        ("changes", {Action.CREATE: 1, Action.UPDATE: 3, Action.REPLACE: 2}),
        ("kms", {Action.UPDATE: 4, Action.REPLACE: 3, Action.DESTROY: 1}),
        ("drift", {Action.CREATE: 1, Action.UPDATE: 1}),
        ("destroy", {Action.DESTROY: 44}),
        ("adopt", {Action.CREATE: 1, Action.ADOPT: 1}),
    ],
)
def test_a_recorded_plan_is_counted(name: str, counts: dict[Action, int]) -> None:
    assert plan(name).counts == counts
    assert plan(name).is_empty is (name == "noop")


def test_a_replacement_says_what_forces_it() -> None:
    database = change_of(plan("kms"), DATABASE)
    assert (database.type, database.name, database.action) == (
        "aws_db_instance", "this", Action.REPLACE,
    )  # fmt: skip
    (why,) = database.why
    assert why.startswith("kms_key_id: default_kms_key_id -> arn:aws:kms:")
    machine = change_of(plan("kms"), MACHINE)
    assert [line.partition(":")[0] for line in machine.why] == ["root_block_device.kms_key_id"]


def test_an_update_says_what_changes_from_what_to_what() -> None:
    assert change_of(plan("changes"), DATABASE).why == ("backup_retention_period: 7 -> 14",)


def test_user_data_is_named_and_not_shown() -> None:
    assert change_of(plan("changes"), MACHINE).why == ("user_data",)


def test_what_somebody_else_did_is_drift_and_what_terraform_did_is_not() -> None:
    found = {drift.address: drift for drift in plan("drift").drift}
    assert set(found) == {ALARM, MACHINE}
    assert found[ALARM].removed
    assert change_of(plan("drift"), ALARM).vanished
    assert found[MACHINE].what == ("tags.course: none -> other",)
    assert len(document("noop")["resource_drift"]) == 2
    assert plan("noop").drift == plan("changes").drift == plan("kms").drift == ()


def test_what_follows_by_itself_is_no_drift() -> None:
    before, now = {"arn": "old", "size": 1}, {"arn": "new", "size": 2}
    entry = {"address": DATABASE, "type": "aws_db_instance"}
    back = update(now, {"size": 1}, after_unknown={"arn": True})
    found = Plan.from_json(
        made_up(
            {**entry, "change": back}, resource_drift=[{**entry, "change": update(before, now)}]
        )
    )
    assert [drift.what for drift in found.drift] == [("size: 1 -> 2",)]


def test_a_resource_that_was_never_there_has_not_vanished() -> None:
    assert not any(change.vanished for change in plan("create").changes)


def test_what_is_there_already_is_adopted() -> None:
    assert change_of(plan("adopt"), BUCKET).action is Action.ADOPT
    assert done(["update"], importing={"id": "x"}).counts == {Action.ADOPT: 1}
    assert done(["no-op"], importing={"id": "x"}).counts == {Action.ADOPT: 1}


def test_what_would_be_adopted_only_to_be_replaced_is_a_replacement() -> None:
    assert done(["delete", "create"], importing={"id": "x"}).counts == {Action.REPLACE: 1}
    assert done(["create", "delete"]).counts == {Action.REPLACE: 1}


def test_a_plan_that_changes_outputs_alone_is_not_empty() -> None:
    found = Plan.from_json(made_up(output_changes={"server": {"actions": ["update"]}}))
    assert (found.is_empty, found.changes, found.outputs) == (False, (), ("server",))


def test_reading_data_is_no_change() -> None:
    data = {"address": "data.a.b", "type": "a", "mode": "data", "change": {"actions": ["read"]}}
    assert Plan.from_json(made_up(data)).is_empty


def test_what_ends_tells_of_its_lock_and_of_its_last_snapshot() -> None:
    before: dict[str, Any] = {"deletion_protection": True, "skip_final_snapshot": False}
    before |= {"final_snapshot_identifier": "churn-final"}
    (change,) = done(["delete"], before=before, after=None).changes
    assert (change.locked, change.keeps) == (True, "churn-final")
    before |= {"deletion_protection": False, "skip_final_snapshot": True}
    (change,) = done(["delete"], before=before, after=None).changes
    assert (change.locked, change.keeps) == (False, "")


def test_a_leftover_of_a_replacement_and_a_tainted_resource_say_so() -> None:
    entry = {"address": "a.b", "type": "a", "change": {"actions": ["delete"]}, "deposed": "0a"}
    (change,) = Plan.from_json(made_up(entry)).changes
    assert change.why == ("left over from an earlier replacement",)
    reason = {"action_reason": "replace_because_tainted"}
    entry = {"address": "a.b", "type": "a", "change": {"actions": ["delete", "create"]}, **reason}
    (change,) = Plan.from_json(made_up(entry)).changes
    assert change.why == ("an interrupted or failed run left it unfinished",)


# --- plans that are not to be used ---


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"format_version": "2.0"},
        {"format_version": 1},
        {"format_version": "1.2", "errored": True},
        {"format_version": "1.2", "resource_changes": {}},
        {"format_version": "1.2", "resource_changes": [1]},
        made_up({"address": "a.b", "type": "a", "change": {"actions": ["forget"]}}),
        made_up({"address": "a.b", "type": "a", "change": {"actions": []}}),
        made_up({"address": "a.b", "type": "a"}),
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_read_whole_is_refused(document: object) -> None:
    with pytest.raises(ProvisionError, match="plan cannot be used") as caught:
        Plan.from_json(document)
    assert caught.value.next_step


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
GARBAGE = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)
VALUES = (
    *("before", "after", "after_unknown", "before_sensitive", "after_sensitive"),
    *("replace_paths", "importing"),
)
CHANGE = st.fixed_dictionaries(
    {"actions": st.sampled_from([["update"], ["delete", "create"], ["create"], ["no-op"]])},
    optional=dict.fromkeys(VALUES, GARBAGE),
)
ENTRY = st.fixed_dictionaries(
    {"mode": st.just("managed")},
    optional={"address": GARBAGE, "type": GARBAGE, "change": CHANGE, "action_reason": GARBAGE},
)


@given(
    st.fixed_dictionaries(
        {"format_version": st.just("1.2")},
        optional={
            "resource_changes": st.lists(ENTRY, max_size=4) | GARBAGE,
            "resource_drift": st.lists(ENTRY, max_size=4) | GARBAGE,
            "output_changes": GARBAGE,
        },
    )
)
def test_any_document_is_a_plan_in_words_or_a_refusal(document: dict[str, Any]) -> None:
    try:
        found = Plan.from_json(document)
    except ProvisionError:
        return
    text = str(words(found))
    assert all(line.isprintable() for line in text.split("\n"))


# --- secrets ---


@pytest.mark.parametrize("mark", [True, {"password": True}, {"password": {"inner": True}}])
@pytest.mark.parametrize("side", ["before_sensitive", "after_sensitive"])
def test_what_terraform_marks_as_sensitive_is_named_and_not_shown(mark: Any, side: str) -> None:
    change = update({"password": {"inner": "old"}}, {"password": {"inner": CANARY}}, **{side: mark})
    entry = {"address": DATABASE, "type": "aws_db_instance", "change": change}
    found = Plan.from_json(made_up(entry))
    assert len(found.changes[0].why) == 1
    assert CANARY not in repr(found) + str(words(found))
    assert "old" not in repr(found.changes[0].why)


def test_a_secret_that_becomes_unknown_is_not_shown() -> None:
    change = update({"password": CANARY}, {}, after_unknown={"password": True})
    change["before_sensitive"] = {"password": True}
    assert CANARY not in repr(differences(change))


@given(GARBAGE.filter(bool), GARBAGE.filter(bool))
def test_nothing_below_a_sensitive_mark_is_shown(before: Any, after: Any) -> None:
    change = update({"secret": before}, {"secret": after}, before_sensitive={"secret": True})
    assert {str(d) for d in differences(change)} <= {"secret"}


def test_variables_of_the_plan_are_not_read() -> None:
    whole = document("create") | {"variables": {"user_data": {"value": CANARY}}}
    found = Plan.from_json(whole)
    assert CANARY not in repr(found) + str(words(found))


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_in_words_shows_no_control_character(name: str) -> None:
    text = json.dumps(document(name)).replace("ipv4", "ip\\u001b[2Jv4")
    assert "\x1b" not in str(words(Plan.from_json(json.loads(text))))


def test_names_with_control_characters_are_shown_escaped() -> None:
    change = {"actions": ["delete"], "before": {"final_snapshot_identifier": "\x1b[2J"}}
    change["before"] |= {"skip_final_snapshot": False}  # type: ignore[operator]
    entry = {"address": "a\x1b[2J.b", "type": "a\x1b[2J", "change": change}
    found = Plan.from_json(made_up(entry, {**entry, "type": "aws_db_instance"}))
    assert "\x1b" not in str(words(found)) + found.changes[1].keeps


# --- differences ---


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"a": None}, {"a": True}, ["a: none -> true"]),
        ({"a": "x"}, {}, ["a: x -> none"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a.b: 1 -> 2"]),
        ({"a": ["x"]}, {"a": ["x", "y"]}, ["a"]),
        ({"policy": "{}"}, {"policy": "{1}"}, ["policy"]),
        ({"tags": {"k": "1"}, "tags_all": {"k": "1"}},
         {"tags": {"k": "2"}, "tags_all": {"k": "2"}}, ["tags.k: 1 -> 2"]),
        ({"tags": {}, "tags_all": {"k": "1"}},
         {"tags": {}, "tags_all": {"k": "2"}}, ["tags_all.k: 1 -> 2"]),
    ],
)  # fmt: skip
def test_differences_are_told_leaf_by_leaf(before: Any, after: Any, expected: list[str]) -> None:
    assert [str(d) for d in differences(update(before, after))] == expected


def test_a_value_beside_a_sensitive_one_is_not_shown() -> None:
    change = update({"s": "x"}, {"s": {"a": "b"}}, after_sensitive={"s": {"a": True}})
    assert [str(d) for d in differences(change)] == ["s"]


def test_what_is_known_later_says_so() -> None:
    change = update({"id": "i-1"}, {}, after_unknown={"id": True, "list": [False]})
    assert [str(d) for d in differences(change)] == ["id: i-1 -> known later"]
