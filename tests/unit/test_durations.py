"""The table of usual durations, and how they are said."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from provision.model.durations import EMULATED, ON_AWS, Source, reference, spoken, typical
from provision.model.resources import KNOWN_TYPES, place
from tests.unit.recorded import events

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "durations.md"
RENEW = (
    'python -c "from provision.model.durations import reference; print(reference(), end=str())" '
    "> docs/reference/durations.md"
)


@pytest.mark.parametrize("table", [ON_AWS, EMULATED])
def test_the_tables_speak_of_resources_that_the_modules_have(table: object) -> None:
    assert isinstance(table, dict)
    for (type_, action), found in table.items():
        assert type_ in KNOWN_TYPES
        assert action in ("create", "update", "delete")
        assert math.isfinite(found.seconds)
        assert found.seconds > 0


def test_every_figure_says_where_it_is_from() -> None:
    assert {found.source for found in ON_AWS.values()} == {Source.LOGS, Source.ESTIMATE}
    assert {found.source for found in EMULATED.values()} == {Source.MEASURED}
    assert all(found.note for found in ON_AWS.values() if found.source is Source.LOGS)


@pytest.mark.parametrize("name", ["apply", "destroy"])
def test_the_emulated_figures_are_those_that_were_recorded(name: str) -> None:
    for _, event in events(name):
        if event.kind == "done":
            usual = typical(place(event.address).type, event.action, emulated=True)
            assert abs(usual.seconds - event.elapsed) <= 1, event


def test_the_database_decides_how_long_it_takes() -> None:
    for emulated in (False, True):
        table = EMULATED if emulated else ON_AWS
        longest = max(table, key=lambda key: table[key].seconds)
        assert longest == ("aws_db_instance", "create")
    assert typical("aws_unheard_of", "create").source is Source.ESTIMATE


@pytest.mark.parametrize(
    ("seconds", "exact", "about"),
    [
        (0, "0 s", "0 s"),
        (59.4, "59 s", "59 s"),
        (60, "1 min", "1 min"),
        (95, "1 min 35 s", "2 min"),
        (250, "4 min 10 s", "4 min"),
        (3600, "1 h", "1 h"),
        (3905, "1 h 5 min", "1 h 5 min"),
        (-1, "0 s", "0 s"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, exact: str, about: str) -> None:
    assert (spoken(seconds), spoken(seconds, exact=False)) == (exact, about)


def test_the_reference_page_says_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), f"renew it by: {RENEW}"
