"""What a run left: held against the root's own outputs, and told apart from nothing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.errors import ProvisionError
from provision.model.outputs import (
    AlarmsOutput,
    ArtifactsOutput,
    DatabaseOutput,
    Outputs,
    SchedulesOutput,
    ServerOutput,
    Stage,
)
from tests.unit.recorded import document

ROOT = Path(__file__).parents[2] / "terraform" / "stacks" / "tracking"
PARTS = {
    "server": ServerOutput,
    "artifacts": ArtifactsOutput,
    "database": DatabaseOutput,
    "alarms": AlarmsOutput,
    "schedules": SchedulesOutput,
}


def declared() -> dict[str, set[str]]:
    """Output -> the names inside it, empty for a simple value."""
    text = (ROOT / "outputs.tf").read_text(encoding="utf-8")
    blocks = re.findall(r'^output "(\w+)" \{(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return {name: set(re.findall(r"^    (\w+)\s+=", body, re.MULTILINE)) for name, body in blocks}


def test_every_declared_output_is_read_and_no_other() -> None:
    outputs = declared()
    assert set(outputs) == {field.name for field in dataclasses.fields(Outputs)}
    for name, part in PARTS.items():
        assert outputs[name] == {field.name for field in dataclasses.fields(part)}


def test_recorded_outputs_arrive() -> None:
    found = Outputs.from_json(document("outputs"))
    assert found.stage is Stage.APPLIED
    assert (found.account_id, found.region) == ("123456789012", "eu-west-1")
    assert found.server is not None
    assert found.server.instance_id.startswith("i-")
    assert found.artifacts == ArtifactsOutput(
        "provision-churn-123456789012-eu-west-1",
        "s3://provision-churn-123456789012-eu-west-1/artifacts",
    )
    assert found.database is not None
    assert found.database.address.endswith(":5432")
    assert found.alarms is not None
    assert len(found.alarms.names) == 3


def test_nothing_is_a_state_of_its_own() -> None:
    assert Outputs.from_json({}).stage is Stage.NEVER_APPLIED
    assert Outputs.from_json({}).tracking_uri() is None


# The run's id is null where none was given, and an older version planned nothing by itself.
@pytest.mark.parametrize("missing", sorted(declared().keys() - {"run", "schedules"}))
def test_a_part_is_not_the_whole(missing: str) -> None:
    rest = {name: value for name, value in document("outputs").items() if name != missing}
    assert Outputs.from_json(rest).stage is Stage.PARTLY
    null = document("outputs") | {missing: {"value": None}}
    assert Outputs.from_json(null).stage is Stage.PARTLY


def test_an_object_with_a_hole_is_not_there_yet() -> None:
    outputs = document("outputs")
    outputs["server"]["value"]["public_ip"] = None
    found = Outputs.from_json(outputs)
    assert (found.server, found.stage, found.tracking_uri()) == (None, Stage.PARTLY, None)


def test_outputs_of_a_later_version_are_left_alone() -> None:
    assert Outputs.from_json({"new": {"value": 1}}).stage is Stage.NEVER_APPLIED


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ({}, "http://203.0.113.9"),
        ({"port": 5000}, "http://203.0.113.9:5000"),
        ({"port": 80}, "http://203.0.113.9"),
        ({"scheme": "https"}, "https://203.0.113.9"),
        ({"scheme": "https", "port": 443}, "https://203.0.113.9"),
        ({"scheme": "https", "port": 80}, "https://203.0.113.9:80"),
    ],
)
def test_the_address_becomes_a_tracking_uri(given: dict[str, Any], uri: str) -> None:
    found = Outputs(server=ServerOutput("i-1", "203.0.113.9", "ami-1"))
    assert found.tracking_uri(**given) == uri


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        [],
        {"region": "eu-west-1"},
        {"region": {"value": 1}},
        {"server": {"value": "i-1"}},
        {"server": {"value": {"instance_id": 1}}},
        {"alarms": {"value": {"topic_arn": "arn", "names": "one"}}},
    ],
    ids=str,
)
def test_outputs_of_another_form_are_refused(outputs: object) -> None:
    with pytest.raises(ProvisionError, match="outputs cannot be read") as caught:
        Outputs.from_json(outputs)
    assert caught.value.next_step


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(st.dictionaries(st.sampled_from(list(declared())), st.fixed_dictionaries({"value": VALUES})))
def test_any_values_are_outputs_or_an_error_of_ours(outputs: dict[str, Any]) -> None:
    try:
        Outputs.from_json(outputs)
    except ProvisionError as error:
        assert error.next_step
