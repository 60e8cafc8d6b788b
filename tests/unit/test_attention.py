from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from provision.cli.status import _code
from provision.cli.status_texts import status as status_text
from provision.model.attention import attention
from provision.model.report import Outcome
from provision.model.status import State, StatusResult

TODAY = date(2026, 11, 27)
GB = 10**9
WELL = {
    "state": "ok",
    "database": {"ok": True, "kind": "postgresql", "bytes": GB, "connections": 4,
                 "connections_most": 100},
    "artifacts": {"ok": True},
    "machine": {"disk_bytes": 20 * GB, "disk_free_bytes": 9 * GB, "memory_bytes": 4 * GB,
                "memory_available_bytes": 2 * GB},
    "certificate_ends": "2027-02-01",
    "certificate_hours": 66 * 24.0,
    "certificate_valid_hours": 90 * 24.0,
}  # fmt: skip


def stack(server: dict[str, Any] | None = None, **more: Any) -> StatusResult:
    given = {"state": State.RUNNING, "detail": "", "server": {**WELL, **(server or {})}, **more}
    return StatusResult(name="team", target="aws", **given)


def machine(**facts: int) -> dict[str, Any]:
    return {"machine": {**WELL["machine"], **facts}}  # type: ignore[dict-item]


CASES = [
    (stack(), []),
    (stack(until="2027-01-31"), []),
    (stack(until="2026-12-04"), ["dates.end-near"]),
    (stack(until="2026-11-26"), ["dates.end-passed"]),
    (stack({"certificate_hours": 14 * 24.0}), ["dates.certificate-ends"]),
    (stack({"certificate_hours": 15 * 24.0}), []),
    (stack({"certificate_hours": 4.0, "certificate_valid_hours": 12.0}), []),
    (
        stack({"certificate_hours": 2.0, "certificate_valid_hours": 12.0}),
        ["dates.certificate-ends"],
    ),
    (stack(machine(disk_free_bytes=GB)), ["capacity.disk-low"]),
    (stack(machine(memory_available_bytes=GB // 4)), ["capacity.memory-low"]),
    (
        stack({"database": {"ok": True, "connections": 80, "connections_most": 100}}),
        ["capacity.connections"],
    ),
    (stack({"database": {"ok": False, "error": "refused"}}), ["serving.database"]),
    (stack({"artifacts": {"ok": False, "error": "full"}}), ["serving.artifacts"]),
    (stack(drift=["changed: a rule"]), ["drift.changed"]),
    (stack(drift=[]), []),
    (StatusResult("team", "aws", State.RUNNING, "silent"), ["serving.not-answering"]),
    (StatusResult("team", "aws", State.STOPPED, ""), []),
]


@pytest.mark.parametrize(("seen", "expected"), CASES)
def test_exactly_what_asks_for_attention_is_noticed(
    seen: StatusResult, expected: list[str]
) -> None:
    assert [finding.id for finding in attention(seen, TODAY)] == expected


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (stack(), 0),
        (stack(until="2026-11-01"), 0),
        (stack({"artifacts": {"ok": False, "error": "full"}}), 6),
        (stack({"artifacts": {"ok": False, "error": "full"}}, drift=["a rule"]), 6),
        (stack(drift=["a rule"]), 3),
        (stack(drift=[]), 0),
        (StatusResult("team", "aws", State.FAILED, "no"), 1),
    ],
)
def test_the_exit_code_tells_cron_what_is_wrong(seen: StatusResult, code: int) -> None:
    assert _code(replace(seen, attention=attention(seen, TODAY))) == code


def test_one_screen_shows_room_dates_and_what_to_do() -> None:
    seen = stack(machine(disk_free_bytes=GB))
    text = status_text(replace(seen, attention=attention(seen, TODAY)), lambda _, words: words)
    for part in ("4 of 100 connections", "1.0 GB of 20.0 GB free", "until 2027-02-01"):
        assert part in text
    assert "capacity.disk-low: 1.0 of 20.0 GB are free\n  cause: " in text
    assert attention(seen, TODAY)[0].outcome is Outcome.WARNING
