"""What a lifetime means today, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from provision.model.lifetime import Lifetime
from provision.model.schedules import end_of, teardown_of

_SOON_DAYS = 7


def lifetime_words(
    lifetime: Lifetime, now: datetime, *, in_account: bool, stopped: bool
) -> tuple[str, ...]:
    """Sentences for somebody who looks at the stack at `now`; `stopped`: it does not run."""
    words = _end(lifetime, now, in_account=in_account)
    return (*words, *_hours(lifetime, now, in_account=in_account, stopped=stopped))


def is_taken_down(lifetime: Lifetime, now: datetime) -> bool:
    """Whether AWS deletes machine and database by now, if they are archived, as the spec asked."""
    day = teardown_of(lifetime)
    return day is not None and day <= now.date()


def _end(lifetime: Lifetime, now: datetime, *, in_account: bool) -> Iterator[str]:
    until, end = lifetime.until, end_of(lifetime)
    if until is None or end is None:
        return
    if end <= now:
        more = "provision extend DATE gives it more time, provision down ends it"
        if is_taken_down(lifetime, now):
            yield (
                f"{until} was its last day, and AWS takes machine and database down once they are "
                "archived in the bucket; that and a last snapshot stay until provision down "
                "--delete-data"
            )
        elif in_account:
            yield f"{until} was its last day: AWS keeps it stopped; {more}"
        else:
            yield f"{until} was its last day, and nothing ends it by itself here; {more}"
    elif (end - now).days < _SOON_DAYS:
        yield f"{until} is its last day; provision extend DATE gives it more time"


def _hours(lifetime: Lifetime, now: datetime, *, in_account: bool, stopped: bool) -> Iterator[str]:
    office, end = lifetime.office, end_of(lifetime)
    if office is None:
        return
    if not in_account:
        yield "office hours count on AWS alone: here it runs until provision down"
        return
    opening = office.next_opening(now, lifetime.closed)
    if opening is None or (end is not None and end <= opening):
        yield f"office hours: {lifetime.hours}; none is left before its end"
    elif stopped:
        yield (
            f"office hours: {lifetime.hours}; AWS starts it on {opening:%a %Y-%m-%d at %H:%M} "
            "unless it is paused, provision resume at once"
        )
    else:
        yield f"office hours: {lifetime.hours}"
