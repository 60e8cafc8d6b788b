from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from provision.cli.status import _code
from provision.cli.status_texts import status as status_text
from provision.model.attention import attention, so_far
from provision.model.questions import Verdict
from provision.model.report import Outcome
from provision.model.status import Backup, Cost, Security, State, StatusResult

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
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
    (stack(security=Security("2026-11-01T10:00:00+00:00")), []),
    (stack(security=Security("2026-10-20T10:00:00+00:00")), ["safety.audit-old"]),
    (
        stack(security=Security("2026-10-20T10:00:00+00:00", True, {"medium": 2})),
        ["safety.audit-warned"],
    ),
    (
        stack(security=Security("2026-11-26T10:00:00+00:00", False, {"high": 1})),
        ["safety.audit-failed"],
    ),
    (stack(backup=Backup("2026-11-26T13:00:00+00:00", "")), []),
    (stack(backup=Backup("2026-11-26T11:00:00+00:00", "")), ["backup.old"]),
    (stack(backup=Backup("", "none")), []),
    (
        StatusResult(
            "team", "aws", State.STOPPED, "", backup=Backup("2026-11-01T11:00:00+00:00", "")
        ),
        [],
    ),
    (stack(cost=Cost("2026-11-01", 30.0, budget=50, month_spent=39.9)), []),
    (stack(cost=Cost("2026-11-01", 30.0, budget=50, month_spent=40.0)), ["money.budget-near"]),
    (stack(cost=Cost("2026-11-01", 30.0, budget=50, month_spent=50.0)), ["money.budget-spent"]),
    (stack(cost=Cost("2026-11-01", 30.0, budget=50, unknown="denied")), []),
    (StatusResult("team", "aws", State.STOPPED, "", half_asleep=True), ["money.database-awake"]),
    (stack(drift=["changed: a rule"]), ["drift.changed"]),
    (stack(drift=[]), []),
    (StatusResult("team", "aws", State.RUNNING, "silent"), ["serving.not-answering"]),
    (StatusResult("team", "aws", State.STOPPED, ""), []),
]


@pytest.mark.parametrize(("seen", "expected"), CASES)
def test_exactly_what_asks_for_attention_is_noticed(
    seen: StatusResult, expected: list[str]
) -> None:
    assert [finding.id for finding in attention(seen, NOW)] == expected


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (stack(), 0),
        (stack(until="2026-11-01"), 0),
        (stack({"artifacts": {"ok": False, "error": "full"}}), 6),
        (stack({"artifacts": {"ok": False, "error": "full"}}, drift=["a rule"]), 6),
        (stack(drift=["a rule"]), 3),
        (stack(drift=[]), 0),
        (stack(security=Security("2026-11-26", False, {"high": 1})), 6),
        (stack(security=Security("2026-11-26", True, {"low": 1})), 0),
        (StatusResult("team", "aws", State.FAILED, "no"), 1),
    ],
)
def test_the_exit_code_tells_cron_what_is_wrong(seen: StatusResult, code: int) -> None:
    assert _code(replace(seen, attention=attention(seen, NOW))) == code


def test_a_known_hole_is_noticed_between_two_audits() -> None:
    holes = Verdict("MLflow 3.9.0: 7 known", "cve.critical", {"version": "3.9.0", "cves": "CVE-0"})
    assert [finding.id for finding in attention(stack(), NOW, holes)] == ["cve.critical"]
    assert attention(stack(), NOW, Verdict("MLflow 3.17.2: none")) == ()


def test_money_copies_and_safety_are_a_line_each() -> None:
    cost = so_far(Cost("2026-11-18", 30.0, budget=50, month_spent=41.5), NOW.date())
    assert cost.spent == 9.86, "ten days of a month of 730 hours"
    seen = stack(
        cost=cost,
        backup=Backup("2026-11-27T11:55:00+00:00", "RDS can restore it"),
        security=Security("2026-11-26T09:00:00+00:00", True, {"medium": 1, "low": 2}, "none of 19"),
    )
    lines = status_text(seen, lambda _, words: words).splitlines()
    told = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in lines if line[0] != " "}
    assert told["security"] == "audit of 2026-11-26: 1 medium, 2 low; known holes: none of 19"
    assert told["last backup"] == "2026-11-27T11:55:00+00:00: RDS can restore it"
    assert [line.split("  ", 1)[1].strip() for line in lines if line.startswith("cost")] == [
        "about 9.86 USD since 2026-11-18, by list prices",
        "41.50 of 50 USD this month, as AWS counted",
    ]


def test_one_screen_shows_room_dates_and_what_to_do() -> None:
    seen = stack(machine(disk_free_bytes=GB))
    text = status_text(replace(seen, attention=attention(seen, NOW)), lambda _, words: words)
    for part in ("4 of 100 connections", "1.0 GB of 20.0 GB free", "until 2027-02-01"):
        assert part in text
    assert "capacity.disk-low: 1.0 of 20.0 GB are free\n  cause: " in text
    assert attention(seen, NOW)[0].outcome is Outcome.WARNING
