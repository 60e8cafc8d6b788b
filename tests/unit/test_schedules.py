"""What AWS is told to do by itself, played through on a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.emulator.schedules import occurrences
from provision.model.hours import at_minute
from provision.model.lifetime import Lifetime
from provision.model.schedules import (
    HOLD,
    OPENS,
    Schedule,
    archive_of,
    end_of,
    schedules,
    settled,
    teardown_of,
)

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")
WORK = "Mon-Fri 08:00-20:00 Europe/Brussels"


def lifetime(**values: Any) -> Lifetime:
    return Lifetime.model_validate(values)


def told(schedule: Schedule) -> dict[str, Any]:
    """As `GetSchedule` answers."""
    return {
        "ScheduleExpression": schedule.when,
        "ScheduleExpressionTimezone": schedule.zone,
        "StartDate": schedule.starts,
        "EndDate": schedule.ends,
    }


def played(
    planned: Mapping[str, Schedule], begin: datetime, end: datetime
) -> list[tuple[str, str]]:
    """What is done to the server, and when on its wall."""
    done = [
        (moment, schedule.does)
        for schedule in planned.values()
        if not schedule.asleep and "server" in schedule.does
        for moment in occurrences(told(schedule), begin, end)
    ]
    return [(f"{m.astimezone(BRUSSELS):%a %d.%m. %H:%M}", does) for m, does in sorted(done)]


def test_both_start_and_stop_by_the_clock_on_the_wall_through_the_end_of_summer() -> None:
    planned = schedules("churn", lifetime(hours=WORK))
    week = played(
        planned, datetime(2026, 10, 23, 0, 0, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    )
    assert week == [
        ("Fri 23.10. 08:00", "start-server"),
        ("Fri 23.10. 20:00", "stop-server"),
        ("Sat 24.10. 20:00", "stop-server"),
        ("Sun 25.10. 20:00", "stop-server"),
        ("Mon 26.10. 08:00", "start-server"),
        ("Mon 26.10. 20:00", "stop-server"),
    ]
    pairs = {name.replace("server", "database") for name in planned if "server" in name}
    assert pairs == {name for name in planned if "database" in name} - {HOLD}


def test_holidays_start_nothing_and_still_stop_what_rds_has_started() -> None:
    closed = ["2026-12-24 to 2027-01-03", "2026-12-21"]
    planned = settled(schedules("churn", lifetime(hours=WORK, holidays=closed)), {}, NOW)
    weeks = played(planned, datetime(2026, 12, 18, tzinfo=UTC), datetime(2027, 1, 5, tzinfo=UTC))
    starts = [when for when, does in weeks if does == "start-server"]
    assert starts == [
        "Fri 18.12. 08:00",
        "Tue 22.12. 08:00",
        "Wed 23.12. 08:00",
        "Mon 04.01. 08:00",
    ]
    assert len([1 for _, does in weeks if does == "stop-server"]) == 18


def test_the_end_warns_twice_stops_for_good_and_starts_nothing_any_more() -> None:
    planned = settled(schedules("churn", lifetime(hours=WORK, until="2026-12-18")), {}, NOW)
    told_at = {n: s.when for n, s in planned.items() if s.does == "tell"}
    assert told_at == {
        "warn-7": "at(2026-12-11T09:00:00)",
        "warn-1": "at(2026-12-17T09:00:00)",
        "end-told": "at(2026-12-19T00:00:00)",
    }
    after = played(
        planned, datetime(2026, 12, 18, 20, 0, tzinfo=UTC), datetime(2027, 1, 10, tzinfo=UTC)
    )
    assert after[0] == ("Sat 19.12. 00:00", "stop-server")
    assert {does for _, does in after} == {"stop-server"}
    assert "provision extend" in planned["warn-7"].says


def test_a_teardown_leaves_a_week_to_think_and_an_hour_to_archive() -> None:
    course = lifetime(until="2026-12-18", at_end="teardown")
    planned = settled(schedules("churn", course), {}, NOW)
    assert teardown_of(course) == date(2026, 12, 26)
    assert archive_of(course) == datetime(2026, 12, 26, 8, tzinfo=UTC)
    stops = played(
        planned, datetime(2026, 12, 18, 23, tzinfo=UTC), datetime(2026, 12, 26, 8, tzinfo=UTC)
    )
    assert {does for _, does in stops} == {"stop-server"}
    day = planned["gone-server"], planned["gone-database"]
    assert {s.when for s in day} == {"cron(0 * * * ? *)"}
    assert {s.starts for s in day} == {datetime(2026, 12, 26, 8, 59, 59, tzinfo=UTC)}
    assert planned["gone-start-server"].when == planned["gone-start-database"].when
    assert planned["gone-told"].when == "at(2026-12-27T09:00:00)"


def test_what_is_not_archived_starts_each_morning_for_two_weeks_and_stops_each_night() -> None:
    course = lifetime(until="2026-12-18", at_end="teardown", hours=WORK)
    planned = settled(schedules("churn", course), {}, NOW)
    begin, end = datetime(2026, 12, 25, 23, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
    starts = [when for when, does in played(planned, begin, end) if does == "start-server"]
    assert len(starts) == 14 and starts[0] == "Sat 26.12. 08:00"
    last = played(planned, datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 2, 3, tzinfo=UTC))
    assert {does for _, does in last} == {"stop-server"}


def test_what_is_over_is_left_out_and_what_stands_is_left_alone() -> None:
    wanted = schedules(
        "churn", lifetime(hours=WORK, holidays=["2026-12-24 to 2027-01-03"], until="2027-03-31")
    )
    first = settled(wanted, {}, NOW)
    later = datetime(2027, 3, 26, tzinfo=UTC)
    assert settled(wanted, first, later) == first
    anew = settled(wanted, {}, later)
    assert "warn-7" not in anew and "warn-1" in anew and f"{OPENS}-server" not in anew
    assert anew[f"{OPENS}-server-from-20270104"].starts is None
    assert settled(wanted, anew, later) == anew


def test_without_anything_written_only_a_pause_has_its_schedule_asleep() -> None:
    assert schedules("churn", lifetime()) == {
        HOLD: Schedule("stop-database", "cron(30 3 * * ? *)", asleep=True)
    }


days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
ranges = st.lists(st.tuples(days, st.integers(0, 20)), max_size=6)


@given(
    st.sets(st.integers(0, 6), min_size=1, max_size=6),
    ranges,
    st.none() | days,
    st.sampled_from(["UTC", "Europe/Brussels", "America/St_Johns"]),
)
def test_a_server_starts_on_each_open_day_and_on_no_other(
    open_days: set[int], closed: list[tuple[date, int]], until: date | None, zone: str
) -> None:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    holidays = [f"{day} to {day + timedelta(days=n)}" for day, n in closed]
    given_ = {"until": str(until)} if until else {}
    course = lifetime(
        hours=f"{','.join(names[d] for d in sorted(open_days))} 07:30-19:00 {zone}",
        holidays=holidays, **given_,
    )  # fmt: skip
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    began = datetime(2025, 12, 1, tzinfo=UTC)
    planned = settled(schedules("churn", course), {}, began)
    starts = sorted(
        moment
        for schedule in planned.values()
        if schedule.does == "start-server"
        for moment in occurrences(told(schedule), begin, end)
    )
    free = {day + timedelta(days=k) for day, n in closed for k in range(n + 1)}
    expected = [
        at_minute(day, 450, zone)
        for day in (date(2025, 12, 31) + timedelta(days=n) for n in range(735))
        if day.weekday() in open_days and day not in free and (until is None or day <= until)
    ]
    assert starts == [moment for moment in expected if begin <= moment < end]


@given(st.sampled_from([WORK, None]), st.none() | days, st.sampled_from(["stop", "teardown"]))
def test_schedules_come_back_as_they_were_written(
    hours: str | None, until: date | None, at_end: str
) -> None:
    course = lifetime(hours=hours, until=until, at_end=at_end)
    for name, schedule in schedules("churn", course).items():
        assert Schedule.from_json(schedule.to_json()) == schedule
        assert len(name) <= 64
        assert len(schedule.says.partition("\n")[0]) <= 100, "SNS takes no longer subject"


@pytest.mark.parametrize("value", [{}, [], {"does": "tea", "when": "at(2026-01-01T00:00:00)"}])
def test_what_is_no_schedule_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"schedule|called"):
        Schedule.from_json(value)


def test_the_end_is_on_the_clock_of_the_hours() -> None:
    assert end_of(lifetime(until="2026-12-18")) == datetime(2026, 12, 19, tzinfo=UTC)
    assert end_of(lifetime(until="2026-12-18", hours=WORK)) == datetime(
        2026, 12, 18, 23, tzinfo=UTC
    )
    assert end_of(lifetime()) is None
