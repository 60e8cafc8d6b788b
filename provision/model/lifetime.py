"""The spec's section `lifetime`: when the stack runs, when it ends, and who is told."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from provision.model.aws_fields import EMAIL_PATTERN, between, check_email
from provision.model.fields import as_tuple, check_date, one_of
from provision.model.hosts import check_webhook
from provision.model.hours import (
    HOLIDAY_PATTERN,
    HOURS_PATTERN,
    MOST_HOLIDAYS,
    Holiday,
    Hours,
    check_holiday,
    check_hours,
    parse_holiday,
    parse_hours,
)
from provision.model.section import Section

AtEnd = Literal["stop", "teardown"]
MOST_IDLE_HOURS: Final = 720

_Holiday = Annotated[str, Field(pattern=HOLIDAY_PATTERN), BeforeValidator(check_holiday)]


class Lifetime(Section):
    """When the stack runs, when it ends, and who is told.

    All but `until` count on the targets `aws` and `rehearsal` alone, where AWS itself does what
    they say.
    """

    until: Annotated[date | None, BeforeValidator(check_date)] = Field(
        default=None,
        description="Last day of the stack (ISO date); never when left out. On AWS, mails warn 7 "
        "days and 1 day before, and server and database stop at the end of that day.",
        examples=["2027-01-31"],
    )
    at_end: Annotated[AtEnd, BeforeValidator(one_of(get_args(AtEnd)))] = Field(
        default="stop",
        description="What happens after `until` on AWS. `stop`: both stay stopped, with all data. "
        "`teardown`: a week later the machine archives its database in the bucket and both go; the "
        "bucket and a last snapshot of the database stay. What cannot be archived stays, too.",
        examples=["stop", "teardown"],
    )
    hours: Annotated[
        Annotated[str, Field(pattern=HOURS_PATTERN)] | None, BeforeValidator(check_hours)
    ] = Field(
        default=None,
        description="Office hours: days, times and the time zone whose clock counts. AWS starts "
        "server and database when they begin and stops them when they end. Default: always on.",
        examples=["Mon-Fri 08:00-20:00 Europe/Brussels", "Mon,Wed 13:00-18:00 UTC"],
    )
    holidays: Annotated[
        Annotated[tuple[_Holiday, ...], Field(max_length=MOST_HOLIDAYS)],
        BeforeValidator(as_tuple, json_schema_input_type=tuple[_Holiday, ...] | None),
    ] = Field(
        default=(),
        description="Days, or ranges of days, on which the office hours start nothing.",
        examples=[["2026-11-11", "2026-12-24 to 2027-01-03"]],
    )
    idle_hours: Annotated[
        Annotated[int, Field(ge=1, le=MOST_IDLE_HOURS)] | None,
        BeforeValidator(between(1, MOST_IDLE_HOURS, " (hours)")),
    ] = Field(
        default=None,
        description="Hours without a request after which the server's machine switches itself off "
        "(it looks each hour); the database stays on. `provision resume` brings it back. Default: "
        "never.",
        examples=[6],
    )
    alarm_email: Annotated[
        Annotated[str, Field(pattern=EMAIL_PATTERN)] | None, BeforeValidator(check_email)
    ] = Field(
        default=None,
        description="Who is told on AWS when something is wrong with server or database, and "
        "before the end; AWS asks that address to confirm first. Default: nobody.",
        examples=["ml-team@example.com"],
    )
    webhook: Annotated[str | None, BeforeValidator(check_webhook)] = Field(
        default=None,
        description="An https address that is told the same. It has to confirm a subscription of "
        "Amazon SNS, as incident services do; it is no secret. Default: none.",
        examples=["https://alerts.example.com/sns"],
    )
    budget: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None,
        BeforeValidator(between(1, 1_000_000, " (US dollars a month)")),
    ] = Field(
        default=None,
        description="US dollars that a month on AWS may cost: `alarm_email` is told at 50, 80 and "
        "100 %. The payer has to activate `provision:stack` as a cost allocation tag. Default: no "
        "budget.",
        examples=[50],
    )

    @property
    def office(self) -> Hours | None:
        """The office hours, read."""
        return None if self.hours is None else parse_hours(self.hours)

    @property
    def closed(self) -> tuple[Holiday, ...]:
        """The holidays, read."""
        return tuple(parse_holiday(entry) for entry in self.holidays)
