"""What `make faults` saw is there for every fault that we know, and the page is made of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lab import fault_cases, faults
from tests.lab.fault_cases import CASES, Case, Ending
from tests.lab.faults import PAGE, Scene, page, read

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


def test_a_fault_that_failed_is_not_there_any_more_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def nothing() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(lab=SimpleNamespace(is_up=False))

    def fails(_: Scene) -> Ending:
        raise AssertionError("it is not named")

    cases = [
        Case(name, name, act, needs_stack=False)
        for name, act in (("first", lambda _: ("survived", "ready")), ("second", fails))
    ]
    monkeypatch.setattr(faults, "RESULTS", tmp_path / "faults.json")
    monkeypatch.setattr(faults, "PAGE", tmp_path / "faults.md")
    monkeypatch.setattr(faults, "scene", nothing)
    monkeypatch.setattr(fault_cases, "CASES", cases)
    faults.keep(
        {case.name: faults.Row(case.name, case.name, "named", "before", 1) for case in cases},
        ["first", "second"],
    )
    assert faults.main(["third"]) == 2
    assert list(read()) == ["first", "second"]
    assert faults.main(["second"]) == 1
    assert [row.said for row in read().values()] == ["before"]
    assert faults.main([]) == 1
    assert [row.said for row in read().values()] == ["ready"]
