"""Office hours and holidays: when a server is to run, on the clock of one time zone.

Written as `Mon-Fri 08:00-20:00 Europe/Brussels`. A closed day is one that the hours do not name, or
a holiday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from provision.model.complaints import complain, shown
from provision.model.suggest import closest, did_you_mean

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS_PATTERN: Final = (
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)([-,](Mon|Tue|Wed|Thu|Fri|Sat|Sun))* "
    r"[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2} [A-Za-z0-9_+/-]+$"
)
HOLIDAY_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( to [0-9]{4}-[0-9]{2}-[0-9]{2})?$"
MOST_HOLIDAYS: Final = 60
_EXAMPLE: Final = "`Mon-Fri 08:00-20:00 Europe/Brussels`"
_MIDNIGHT: Final = 24 * 60
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Hours:
    """On `days` (0 is Monday) from `opens` to `closes`, minutes since midnight, in a time zone.

    `closes` may be 24:00, and is later than `opens`.
    """

    days: tuple[int, ...]
    opens: int
    closes: int
    zone: str

    @property
    def per_week(self) -> float:
        """Hours in a week without holidays."""
        return len(self.days) * (self.closes - self.opens) / 60

    @property
    def share(self) -> float:
        """The part of all time that is open, from 0 to 1."""
        return self.per_week / (7 * 24)

    def is_open(self, moment: datetime, holidays: Iterable[Holiday] = ()) -> bool:
        """Whether a moment (with its zone) lies within the hours."""
        local = moment.astimezone(ZoneInfo(self.zone))
        minutes = local.hour * 60 + local.minute
        return (
            local.weekday() in self.days
            and not any(local.date() in holiday for holiday in holidays)
            and self.opens <= minutes < self.closes
        )

    def next_opening(self, moment: datetime, holidays: Iterable[Holiday] = ()) -> datetime | None:
        """The first opening after a moment, in the hours' own zone; none within two years: None."""
        closed = tuple(holidays)
        zone = ZoneInfo(self.zone)
        first = moment.astimezone(zone).date()
        for day in (first + _DAY * n for n in range(731)):
            if day.weekday() in self.days and not any(day in holiday for holiday in closed):
                opening = at_minute(day, self.opens, self.zone)
                if opening > moment:
                    return opening
        return None


@dataclass(frozen=True)
class Holiday:
    """Days on which nothing is started, both ends included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def at_minute(day: date, minutes: int, zone: str) -> datetime:
    """A minute of a day on a zone's clock; 24:00 is the next day's first.

    A minute that the clock skips in spring comes out as the one at which it is that late, one that
    it shows twice in autumn as the first of both.
    """
    whole, rest = divmod(minutes, _MIDNIGHT)
    day += _DAY * whole
    wall = datetime(day.year, day.month, day.day, rest // 60, rest % 60, tzinfo=ZoneInfo(zone))
    return wall.astimezone(UTC).astimezone(ZoneInfo(zone))


def merged(holidays: Iterable[Holiday]) -> Iterator[Holiday]:
    """The same days in order, each once."""
    ordered = sorted(holidays, key=lambda item: item.first)
    while ordered:
        now = ordered.pop(0)
        while ordered and ordered[0].first <= now.last + _DAY:
            now = Holiday(now.first, max(now.last, ordered.pop(0).last))
        yield now


def parse_hours(text: str) -> Hours:
    """Read office hours that `check_hours` has let through."""
    days, times, zone = text.split(" ")
    opens, closes = (_minutes(word) for word in times.split("-"))
    return Hours(_days(days), opens, closes, zone)


def parse_holiday(text: str) -> Holiday:
    """Read a day or a range of days that `check_holiday` has let through."""
    first, _, last = text.partition(" to ")
    return Holiday(date.fromisoformat(first), date.fromisoformat(last or first))


def check_hours(value: object) -> object:
    """Office hours, or nothing."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.match(HOURS_PATTERN[:-1] + r"\Z", value):
        raise complain(f"must be hours such as {_EXAMPLE}, not {shown(value)}", _hint(value))
    days, times, zone = value.split(" ")
    _check_days(days)
    opens, closes = (_minutes(word) for word in times.split("-"))
    if max(opens, closes) > _MIDNIGHT or re.search(":[6-9]", times):
        raise complain(f"{times} are not times of a day", "from 00:00 to 24:00")
    if opens >= closes:
        hint = "hours end on the day on which they begin, at 24:00 at the latest"
        raise complain(f"{times} ends before it begins", hint)
    if closes - opens == _MIDNIGHT and len(_days(days)) == len(DAYS):
        raise complain("these hours never close", "remove the line")
    _check_zone(zone)
    return value


def check_holiday(value: object) -> object:
    """One entry of the list of holidays; a day that YAML has read already counts, too."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str) or not re.match(HOLIDAY_PATTERN[:-1] + r"\Z", value):
        what = "a day such as `2026-12-24`, or days such as `2026-12-24 to 2027-01-03`"
        raise complain(f"must be {what}, not {shown(value)}")
    try:
        holiday = parse_holiday(value)
    except ValueError:
        raise complain(f"{value} names a day that the calendar does not have") from None
    if holiday.last < holiday.first:
        raise complain(f"{value} ends before it begins", did_you_mean(_turned(holiday)))
    return value


def _turned(holiday: Holiday) -> str:
    return f"{holiday.last} to {holiday.first}"


def _hint(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    words = text.split()
    if len(words) == 2 and re.search("[0-9]:[0-9]", words[1]):
        return "the time zone is missing: it says whose 08:00 that is"
    days = re.sub("[A-Za-z]+", lambda found: found[0][:3].title(), words[0]) if words else ""
    times = re.sub(r"(?<![0-9:])([0-9]):", r"0\1:", words[1]) if len(words) == 3 else ""
    meant = f"{days} {times} {words[-1]}" if times else ""
    return did_you_mean(meant if re.match(HOURS_PATTERN, meant) else None)


def _check_days(text: str) -> None:
    for part in text.split(","):
        if part.count("-") > 1:
            raise complain(f"{part} is no range of days", "write it as `Mon-Fri` or `Mon,Wed`")
    if len(_named(text)) != len(_days(text)):
        raise complain(f"{text} names a day twice", "name each once")


def _check_zone(zone: str) -> None:
    # By name in the list: `ZoneInfo` would take a path or another spelling on some systems.
    known = available_timezones()
    if zone in known:
        return
    same = {name.lower(): name for name in known}.get(zone.lower())
    city = [name for name in known if name.rpartition("/")[2].lower() == zone.lower()]
    meant = same or (min(city) if city else closest(zone, sorted(known)))
    raise complain(f"{zone} is not a time zone", did_you_mean(meant) or "such as `Europe/Brussels`")


def _named(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = DAYS.index(first)
        length = (DAYS.index(last or first) - start) % len(DAYS) + 1
        found += [(start + n) % len(DAYS) for n in range(length)]
    return found


def _days(text: str) -> tuple[int, ...]:
    return tuple(sorted(set(_named(text))))


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
