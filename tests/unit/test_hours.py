"""Office hours: what is read, what is refused with which words, and what the clock says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from provision.model.hours import (
    DAYS,
    Holiday,
    Hours,
    at_minute,
    check_holiday,
    check_hours,
    merged,
    parse_hours,
)

ZONES = ("Europe/Brussels", "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata")
moments = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
hours = st.builds(
    lambda days, times, zone: Hours(tuple(sorted(days)), min(times), max(times), zone),
    st.sets(st.integers(0, 6), min_size=1, max_size=6),
    st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True),
    st.sampled_from(ZONES),
)
holidays = st.lists(
    st.builds(
        lambda day, length: Holiday(day, day + timedelta(days=length)),
        st.dates(date(2025, 1, 1), date(2030, 1, 1)),
        st.integers(0, 30),
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon-Fri 08:00-20:00 Asia/Kolkata", Hours((0, 1, 2, 3, 4), 480, 1200, "Asia/Kolkata")),
        ("Mon,Wed 13:30-18:00 UTC", Hours((0, 2), 810, 1080, "UTC")),
        ("Sat-Mon 00:00-24:00 Asia/Kolkata", Hours((0, 5, 6), 0, 1440, "Asia/Kolkata")),
        ("Mon-Wed,Fri 09:00-12:00 America/Lima", Hours((0, 1, 2, 4), 540, 720, "America/Lima")),
    ],
)  # fmt: skip
def test_hours_are_read(text: str, expected: Hours) -> None:
    assert check_hours(text) == text
    assert parse_hours(text) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Mon-Fri 08:00-20:00", "the time zone is missing"),
        ("mon-fri 8:00-20:00 Asia/Tokyo", "did you mean `Mon-Fri 08:00-20:00 Asia/Tokyo`"),
        ("Monday-Friday 08:00-20:00 UTC", "did you mean `Mon-Fri 08:00-20:00 UTC`"),
        ("Mon-Fri 08:00-20:00 Europe/Bruxelles", "did you mean `Europe/Brussels`"),
        ("Mon-Fri 08:00-20:00 brussels", "did you mean `Europe/Brussels`"),
        ("Mon-Fri 08:00-20:00 europe/brussels", "did you mean `Europe/Brussels`"),
        ("Mon-Fri 08:00-20:00 Mars/Olympus", "Mars/Olympus is not a time zone"),
        ("Mon-Fri 08:00-20:00 ../../etc/passwd", "must be hours such as"),
        ("Mon-Fri 20:00-08:00 UTC", "ends before it begins"),
        ("Mon-Fri 08:00-08:00 UTC", "ends before it begins"),
        ("Mon-Fri 08:00-25:00 UTC", "are not times of a day"),
        ("Mon-Fri 08:60-20:00 UTC", "are not times of a day"),
        ("Mon-Sun 00:00-24:00 UTC", "these hours never close"),
        ("Mon-Fri,Fri 08:00-20:00 UTC", "names a day twice"),
        ("Mon-Wed-Fri 08:00-20:00 UTC", "is no range of days"),
        ("Mon-Fri 08:00-20:00 UTC\n", "must be hours such as"),
        ("", "must be hours such as"),
        (8, "must be hours such as"),
        (True, "must be hours such as"),
    ],
)  # fmt: skip
def test_what_are_no_hours_is_refused_in_words(value: object, words: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        check_hours(value)
    context = refused.value.context or {}
    said = "; ".join(str(part) for part in (refused.value.message(), context.get("hint")) if part)
    assert words in said


@pytest.mark.parametrize(
    "value", ["2026-02-30", "2027-01-03 to 2026-12-24", "24.12.2026", "", 20261224, "2026-12-24 to"]
)
def test_what_is_no_holiday_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        check_holiday(value)


def test_a_day_that_yaml_has_read_counts_too() -> None:
    assert check_holiday(date(2026, 12, 24)) == "2026-12-24"


@given(hours, moments, holidays)
def test_an_opening_is_open_and_nothing_opens_before_it(
    office: Hours, moment: datetime, closed: list[Holiday]
) -> None:
    opening = office.next_opening(moment, closed)
    assert opening is not None and opening > moment
    day = opening.date()
    assert day.weekday() in office.days
    assert not any(day in holiday for holiday in closed)
    # On a day that shifts the clock, the first minute may come out later than it is written.
    minutes = opening.hour * 60 + opening.minute
    assert 0 <= minutes - office.opens <= 60
    if not office.is_open(moment, closed):
        between = moment + (opening - moment) / 2
        assert not office.is_open(between, closed) or minutes != office.opens


@given(st.dates(date(2025, 1, 1), date(2030, 1, 1)), st.integers(0, 1440), st.sampled_from(ZONES))
def test_a_minute_is_that_minute_of_its_zone_or_the_one_that_the_clock_jumps_to(
    day: date, minute: int, zone: str
) -> None:
    found = at_minute(day, minute, zone)
    assert found.tzinfo == ZoneInfo(zone)
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    assert timedelta(0) <= found.replace(tzinfo=None) - wall <= timedelta(hours=1)


@given(holidays)
def test_holidays_stay_the_same_days_each_once(closed: list[Holiday]) -> None:
    def days(items: list[Holiday]) -> list[date]:
        return [
            i.first + timedelta(days=n) for i in items for n in range((i.last - i.first).days + 1)
        ]

    together = list(merged(closed))
    assert days(together) == sorted(set(days(closed)))
    assert all(a.last + timedelta(days=1) < b.first for a, b in pairwise(together))


def test_daylight_saving_keeps_the_time_on_the_wall() -> None:
    office = parse_hours("Mon-Fri 08:00-20:00 Europe/Brussels")
    before = office.next_opening(datetime(2026, 10, 23, 5, 0, tzinfo=UTC))
    after = office.next_opening(datetime(2026, 10, 23, 12, 0, tzinfo=UTC))
    assert before is not None and after is not None
    assert before.astimezone(UTC) == datetime(2026, 10, 23, 6, 0, tzinfo=UTC)  # a summer's Friday
    assert after.astimezone(UTC) == datetime(2026, 10, 26, 7, 0, tzinfo=UTC)  # a winter's Monday


def test_the_share_of_a_week() -> None:
    office = parse_hours("Mon-Fri 08:00-20:00 UTC")
    assert office.per_week == 60
    assert office.share == pytest.approx(60 / 168)
    assert len(DAYS) == 7
