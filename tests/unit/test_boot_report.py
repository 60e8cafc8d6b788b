"""The boot report as it is stored: read back as it was, and read by older and newer kits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from provision.model.boot import PHASES, BootReport, Failure, first, log_key, report_key

REPORT = first("i-0123456789abcdef0", 3, "2026-11-21T10:00:00.000+00:00", "0.1.0")


def test_every_phase_waits_at_first() -> None:
    assert [phase.name for phase in REPORT.phases] == list(PHASES)
    assert {phase.state for phase in REPORT.phases} == {"waiting"}
    assert REPORT.state == "running"


def test_a_report_is_read_as_it_was_written() -> None:
    failure = Failure("system", "disk-full", "the disk is full", "make room", "apt", ("a", "b"))
    phase = replace(REPORT.phase("system"), state="failed", changed=("x", "y"), cpu_seconds=1.5)
    report = replace(REPORT.with_phase(phase), state="failed", failure=failure)
    assert BootReport.from_json(report.to_json()) == report


def test_fields_of_a_newer_kit_are_left_out() -> None:
    raw = json.loads(REPORT.to_json())
    raw["news"] = 1
    raw["phases"][0]["news"] = 1
    assert BootReport.from_json(json.dumps(raw)) == REPORT


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "provision.boot/2"}', "null"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        BootReport.from_json(text)


def test_an_unknown_phase_is_no_phase() -> None:
    with pytest.raises(KeyError):
        REPORT.phase("nothing")


def test_reports_lie_where_the_role_may_write() -> None:
    assert report_key("i-1") == "provision/boot/i-1.json"
    assert log_key("i-1") == "provision/boot/i-1.log"
