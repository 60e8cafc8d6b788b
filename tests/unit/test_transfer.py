"""The bar of a long copy."""

from __future__ import annotations

import pytest

from provision.model.transfer import Meter

EVENT = {"phase": "copying", "done": 5, "total": 20, "unit": "rows", "seconds": 3.0}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "copying  [######..................] 25%  5 rows of 20 rows, 9 s left"),
        ({"seconds": 1.0}, "copying  [######..................] 25%  5 rows of 20 rows"),
        ({"done": 0}, "copying  [........................] 0%  0 rows of 20 rows"),
        ({"done": 20}, "copying  [########################] 100%  20 rows of 20 rows"),
        ({"done": 25}, "copying  [########################] 100%  25 rows of 20 rows"),
        ({"total": 0}, "copying ... 5 rows"),
        ({"unit": "", "total": 0}, "copying ..."),
        (
            {"unit": "bytes", "done": 500_000, "total": 2_000_000_000, "seconds": 0.0},
            "copying  [........................] 0%  0.5 MB of 2.0 GB",
        ),
    ],
)
def test_the_line_says_how_far_it_is(change: dict[str, object], line: str) -> None:
    assert Meter.from_event({**EVENT, **change}).line() == line
