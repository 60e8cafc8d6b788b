"""What AWS is to do by itself, and when: office hours, the end, and a database that is held.

Amazon EventBridge Scheduler does it, whose words these are: `cron(...)` and `at(...)` on the clock
of a time zone, which it follows through daylight saving (its guide, "Schedule types").
A recurring schedule counts from `starts` to `ends`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, get_args

from provision.model.hours import DAYS, Hours, at_minute, merged
from provision.model.lifetime import Lifetime

Action = Literal[
    "start-server", "start-database", "stop-server", "stop-database",
    "tell", "end-server", "end-database",
]  # fmt: skip
BOTH: Final = ("server", "database")
OPENS: Final = "open"
"""What the names of schedules that start something begin with: a pause puts them to sleep."""
HOLD: Final = "hold-database"
"""Stops the database again, which RDS starts after seven days by itself; awake in a pause."""
GRACE_DAYS: Final = 7
"""From the stop at the end to the teardown."""

_WARN_DAYS: Final = (7, 1)
_WARN_MINUTE: Final = 9 * 60
_GONE_MINUTE: Final = _WARN_MINUTE
TRIES_DAYS: Final = 14
"""For so long the account tries to take down what says that it is archived."""
_HOLD_WHEN: Final = "cron(30 3 * * ? *)"
_DAY: Final = timedelta(days=1)
# A schedule may fire at the very moment of its start or end: a second before, none is due.
_JUST_BEFORE: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Schedule:
    """One thing that is done at one moment (`at(...)`) or again and again (`cron(...)`).

    `asleep`: made switched off. `says` is what `tell` tells, its first line the subject.
    """

    does: Action
    when: str
    zone: str = "UTC"
    starts: datetime | None = None
    ends: datetime | None = None
    says: str = ""
    asleep: bool = False

    @property
    def moment(self) -> datetime | None:
        """When it happens, for one that happens once."""
        if not self.when.startswith("at("):
            return None
        wall = datetime.fromisoformat(self.when[3:-1])
        return at_minute(wall.date(), wall.hour * 60 + wall.minute, self.zone)

    def is_over(self, now: datetime) -> bool:
        """Whether it can do nothing any more."""
        last = self.moment or self.ends
        return last is not None and last <= now

    def to_json(self) -> dict[str, Any]:
        """As the Terraform module takes it."""
        given = {"starts": self.starts, "ends": self.ends}
        times = {key: _stamp(value) for key, value in given.items() if value is not None}
        rest = {"says": self.says} if self.says else {}
        sleep = {"asleep": True} if self.asleep else {}
        return {"does": self.does, "when": self.when, "zone": self.zone, **times, **rest, **sleep}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schedule:
        """What `to_json` wrote; raises `ValueError` for anything else."""
        try:
            if value["does"] not in get_args(Action):
                raise ValueError(f"nothing is called {value['does']}")
            starts, ends = (_moment(value.get(key)) for key in ("starts", "ends"))
            return cls(
                value["does"], str(value["when"]), str(value.get("zone") or "UTC"), starts, ends,
                str(value.get("says") or ""), bool(value.get("asleep")),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no schedule: {value}") from error


def schedules(name: str, lifetime: Lifetime) -> dict[str, Schedule]:
    """Everything that a stack's lifetime asks for, by its name, whatever day it is."""
    return {
        HOLD: Schedule("stop-database", _HOLD_WHEN, asleep=True),
        **dict(_office(lifetime)),
        **dict(_ending(name, lifetime)),
    }


def settled(
    wanted: Mapping[str, Schedule], standing: Mapping[str, Schedule], now: datetime
) -> dict[str, Schedule]:
    """The schedules that can be made now.

    AWS takes no schedule whose time is over, and no start in the past. What stands there already
    with the same words is left alone: no plan changes only because a day has passed.
    """
    found = {}
    for name, schedule in wanted.items():
        if standing.get(name) in (schedule, begun := _begun(schedule, now)):
            found[name] = standing[name]
        elif not schedule.is_over(now):
            found[name] = begun
    return found


def _begun(schedule: Schedule, now: datetime) -> Schedule:
    passed = schedule.starts is not None and schedule.starts <= now
    return replace(schedule, starts=None) if passed else schedule


def end_of(lifetime: Lifetime) -> datetime | None:
    """The moment at which the last day is over, on the clock of the office hours or in UTC."""
    return None if lifetime.until is None else _at(lifetime.until + _DAY, 0, _zone(lifetime))


def teardown_of(lifetime: Lifetime) -> date | None:
    """The day on which machine and database go; `None` where they stay."""
    if lifetime.until is None or lifetime.at_end != "teardown":
        return None
    return lifetime.until + timedelta(days=1 + GRACE_DAYS)


def archive_of(lifetime: Lifetime) -> datetime | None:
    """The moment from which on the machine archives what it holds; `None` where it stays."""
    day = teardown_of(lifetime)
    return None if day is None else _at(day, _GONE_MINUTE - 60, _zone(lifetime))


def _zone(lifetime: Lifetime) -> str:
    return "UTC" if lifetime.office is None else lifetime.office.zone


def _at(day: date, minutes: int, zone: str) -> datetime:
    return at_minute(day, minutes, zone).astimezone(UTC)


def _office(lifetime: Lifetime) -> Iterator[tuple[str, Schedule]]:
    """Starts on the days of the hours, between holidays; a stop on every day.

    The stop comes on closed days, too: whoever resumes by hand need not pause again, and a database
    that RDS has started by itself does not stay.
    """
    office = lifetime.office
    if office is None:
        return
    stop = _cron(office.closes, "* * ?")
    for what in BOTH:
        yield f"close-{what}", Schedule(_stops(what), stop, office.zone, ends=end_of(lifetime))
    start = _cron(office.opens, f"? * {','.join(DAYS[day].upper() for day in office.days)}")
    for label, first, last in _stretches(lifetime, office):
        for what in BOTH:
            yield f"{OPENS}-{what}{label}", Schedule(_starts(what), start, office.zone, first, last)


def _stretches(
    lifetime: Lifetime, office: Hours
) -> Iterator[tuple[str, datetime | None, datetime | None]]:
    """Label, start and end of each time without a holiday in it."""
    first: date | None = None
    for holiday in merged(lifetime.closed):
        if lifetime.until is not None and holiday.first > lifetime.until:
            break
        yield from _stretch(first, holiday.first, office)
        first = holiday.last + _DAY
    last = None if lifetime.until is None else lifetime.until + _DAY
    yield from _stretch(first, last, office)


def _stretch(
    first: date | None, after: date | None, office: Hours
) -> Iterator[tuple[str, datetime | None, datetime | None]]:
    """One that has an opening in it, from a day to before another; none before or after: `None`."""
    if first is not None and after is not None:
        length = max(0, min((after - first).days, len(DAYS)))
        if not any((first.weekday() + n) % len(DAYS) in office.days for n in range(length)):
            return
    start, end = (
        None if day is None else _at(day, 0, office.zone) - _JUST_BEFORE for day in (first, after)
    )
    yield "" if first is None else f"-from-{first:%Y%m%d}", start, end


def _ending(name: str, lifetime: Lifetime) -> Iterator[tuple[str, Schedule]]:
    if lifetime.until is None:
        return
    zone, until = _zone(lifetime), lifetime.until
    for days in _WARN_DAYS:
        when = _once(until - timedelta(days=days), _WARN_MINUTE)
        yield f"warn-{days}", Schedule("tell", when, zone, says=_warning(name, lifetime, days))
    # Again on each day: nothing brings it back for longer, not even RDS after a week.
    starts = _at(until + _DAY, 0, zone) - _JUST_BEFORE
    for what in BOTH:
        yield f"end-stop-{what}", Schedule(_stops(what), _cron(0, "* * ?"), zone, starts)
    when = _once(until + _DAY, 0)
    yield "end-told", Schedule("tell", when, zone, says=_stopped(name, lifetime))
    if (gone := teardown_of(lifetime)) is not None:
        yield from _teardown(name, gone, zone)


def _teardown(name: str, day: date, zone: str) -> Iterator[tuple[str, Schedule]]:
    """Both are started, the machine archives, and what it has marked as archived goes.

    Each day anew, as the machine may fail: then the calls that end something are refused.
    """
    begin, end = (_at(d, 0, zone) - _JUST_BEFORE for d in (day, day + timedelta(TRIES_DAYS)))
    start = _cron(_GONE_MINUTE - 60, "* * ?")
    yield "gone-start-database", Schedule("start-database", start, zone, begin, end)
    yield "gone-start-server", Schedule("start-server", start, zone, begin, end)
    each_hour, tries = "cron(0 * * * ? *)", _at(day, _GONE_MINUTE, zone) - _JUST_BEFORE
    yield "gone-server", Schedule("end-server", each_hour, zone, tries, end)
    yield "gone-database", Schedule("end-database", each_hour, zone, tries, end)
    told = Schedule("tell", _once(day + _DAY, _GONE_MINUTE), zone, says=_gone(name))
    yield "gone-told", told


def _warning(name: str, lifetime: Lifetime, days: int) -> str:
    end = "stops"
    if (day := teardown_of(lifetime)) is not None:
        end = f"stops, and on {day} server and database are deleted"
    word = "tomorrow is" if days == 1 else f"in {days} days is"
    return (
        f"{name}: {word} its last day\n"
        f"The MLflow server {name} {end} when {lifetime.until} is over. "
        "provision extend DATE gives it more time; nothing else has to be done."
    )


def _stopped(name: str, lifetime: Lifetime) -> str:
    then = "All its data is kept."
    if (day := teardown_of(lifetime)) is not None:
        then = (
            f"On {day} it is started once more, archives its database in its bucket, and machine "
            "and database are deleted; the bucket and a last snapshot stay."
        )
    return (
        f"{name} has stopped\n"
        f"{lifetime.until} was the last day of the MLflow server {name}: server and database are "
        f"stopped. {then} provision extend DATE brings it back."
    )


def _gone(name: str) -> str:
    return (
        f"{name} is taken down, if it is archived\n"
        f"Yesterday the MLflow server {name} was to archive its database in its bucket, and to be "
        "deleted then. If it has told you that it is archived, machine and database are gone; "
        "provision archive DIR fetches everything, and provision down --delete-data removes what "
        f"stays: the bucket and a last snapshot. If not, nothing was deleted: {name} is started "
        f"for {TRIES_DAYS} days to try again. provision status says how it is."
    )


def _starts(what: str) -> Action:
    return "start-server" if what == "server" else "start-database"


def _stops(what: str) -> Action:
    return "stop-server" if what == "server" else "stop-database"


def _cron(minutes: int, days: str) -> str:
    return f"cron({minutes % 60} {minutes // 60 % 24} {days} *)"


def _once(day: date, minutes: int) -> str:
    return f"at({day}T{minutes // 60:02}:{minutes % 60:02}:00)"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text))
