"""Terraform's JSON lines as events: what real lines mean, and that no line raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.terraform_events import (
    Diagnostic,
    Event,
    Outputs,
    ResourceEvent,
    Summary,
    parse,
)

_RESOURCE = {"addr": "module.store.aws_s3_bucket.this", "resource_type": "aws_s3_bucket"}


def _line(kind: str, **fields: Any) -> str:
    return json.dumps({"@level": "info", "@message": "...", "type": kind, **fields})


def _hook(kind: str, **fields: Any) -> str:
    return _line(kind, hook={"resource": _RESOURCE, **fields})


_ADDRESS = _RESOURCE["addr"]
LINES: list[tuple[str, Event]] = [
    (
        _line("planned_change", change={"resource": _RESOURCE, "action": "replace"}),
        ResourceEvent("planned", _ADDRESS, "replace"),
    ),
    (
        _line(
            "planned_change",
            change={"resource": _RESOURCE, "action": "import", "importing": {"id": "churn"}},
        ),
        ResourceEvent("planned", _ADDRESS, "import", resource_id="churn"),
    ),
    (
        _line("resource_drift", change={"resource": _RESOURCE, "action": "update"}),
        ResourceEvent("drifted", _ADDRESS, "update"),
    ),
    (_hook("apply_start", action="create"), ResourceEvent("started", _ADDRESS, "create")),
    (
        _hook("apply_progress", action="create", elapsed_seconds=20),
        ResourceEvent("progress", _ADDRESS, "create", 20.0),
    ),
    (
        _hook(
            "apply_complete", action="create", id_key="id", id_value="churn", elapsed_seconds=1.5
        ),
        ResourceEvent("done", _ADDRESS, "create", 1.5, "churn"),
    ),
    (
        _hook("apply_errored", action="delete", elapsed_seconds=3),
        ResourceEvent("failed", _ADDRESS, "delete", 3.0),
    ),
    (
        _hook("refresh_complete", id_key="id", id_value="churn"),
        ResourceEvent("done", _ADDRESS, "refresh", 0.0, "churn"),
    ),
    (
        _line(
            "diagnostic",
            diagnostic={"severity": "error", "summary": "S", "detail": "D", "address": _ADDRESS},
        ),
        Diagnostic("error", "S", "D", _ADDRESS),
    ),
    (
        _line(
            "change_summary",
            changes={"add": 3, "change": 1, "import": 2, "remove": 0, "operation": "apply"},
        ),
        Summary("apply", 3, 1, 0, 2),
    ),
]


@pytest.mark.parametrize(("line", "event"), LINES)
def test_a_line_of_terraform_becomes_its_event(line: str, event: Event) -> None:
    assert parse(line) == event


def test_outputs_leave_the_sensitive_ones_out() -> None:
    outputs = {
        "address": {"sensitive": False, "type": "string", "value": "198.51.100.7"},
        "password": {"sensitive": True, "type": "string", "value": "hunter2"},
        "planned": {"sensitive": False, "action": "create"},
        "odd": {"value": "whether it is secret is not said"},
    }
    assert parse(_line("outputs", outputs=outputs)) == Outputs({"address": "198.51.100.7"})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[1]",
        "Terraform used the selected providers",
        _line("version", terraform="1.11.4"),
        _line("a kind of 2031", hook={"resource": _RESOURCE}),
        _line("apply_start"),
        _line("apply_start", hook={"resource": {"addr": 7}}),
        "[" * 100_000,
    ],
)
def test_what_is_no_event_is_none(line: str) -> None:
    assert parse(line) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
_NAMES = st.sampled_from(["resource", "addr", "action", "elapsed_seconds", "id_value", "importing"])


@given(st.text())
def test_garbage_never_raises(line: str) -> None:
    assert parse(line) is None or isinstance(json.loads(line), dict)


@given(
    kind=st.sampled_from([json.loads(line)["type"] for line, _ in LINES] + ["outputs"]),
    field=st.sampled_from(["hook", "change", "changes", "diagnostic", "outputs"]),
    value=_JSON | st.dictionaries(_NAMES, _JSON),
)
def test_the_right_kind_with_the_wrong_content_never_raises(
    kind: str, field: str, value: Any
) -> None:
    event = parse(json.dumps({"type": kind, field: value}))
    if isinstance(event, ResourceEvent):
        assert event.address
        assert event.elapsed == event.elapsed
