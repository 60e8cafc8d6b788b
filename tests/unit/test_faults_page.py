"""What `make faults` saw is there for every fault that we know, and the page is made of it."""

from __future__ import annotations

from tests.lab.fault_cases import CASES
from tests.lab.faults import PAGE, page, read

STALE = "run `make faults` (or `python -m tests.lab.faults NAME` for one of them)"


def test_each_fault_was_injected_and_was_survived_or_named() -> None:
    rows = read()
    assert list(rows) == [case.name for case in CASES], STALE
    for case in CASES:
        row = rows[case.name]
        assert row.outcome in ("survived", "named")
        assert row.said and row.date
        assert row.what == case.what, STALE


def test_the_page_is_made_of_what_was_seen() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(list(read().values())), STALE
