"""EventBridge Scheduler on a clock that is told the time: moto keeps schedules and runs none.

What is due is done as AWS does it: by the schedule's own role, whose trust and rights have to
allow it, with parameters in the scheduler's spelling, which is that of AWS' SDK for Java. A time
that the clock skips in spring is skipped, one that it shows twice in autumn counts once
(EventBridge Scheduler's guide, "Schedule types in EventBridge Scheduler"). A refused call is told
and not repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY = timedelta(days=1)
_ONCE = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_TARGET = re.compile(r"arn:aws:scheduler:::aws-sdk:([a-z0-9]+):(\w+)")


@dataclass(frozen=True)
class Fired:
    """One schedule that was due: what it called, and why that was refused; empty where it was not.

    `moment` is on the clock of its time zone.
    """

    moment: datetime
    schedule: str
    operation: str
    refused: str = ""


class Scheduler:
    """The schedules of one emulated account and region; `door` is where policies hold."""

    def __init__(self, endpoint: str, door: str, region: str) -> None:
        self._endpoint = endpoint
        self._door = door
        self._region = region

    def run(self, begin: datetime, end: datetime) -> list[Fired]:
        """Do everything that is due from `begin` to before `end`, in its order."""
        awake = {(found["GroupName"], found["Name"]): found for found in self._awake()}
        due = sorted(
            (moment, key)
            for key, found in awake.items()
            for moment in occurrences(found, begin, end)
        )
        return [self._fire(awake[key], moment) for moment, key in due]

    def _awake(self) -> list[dict[str, Any]]:
        scheduler = self._client("scheduler")
        pages = scheduler.get_paginator("list_schedules").paginate(State="ENABLED")
        listed = [item for page in pages for item in page["Schedules"]]
        return [
            scheduler.get_schedule(GroupName=item["GroupName"], Name=item["Name"])
            for item in listed
        ]

    def _client(self, service: str, **keys: str) -> Any:
        own = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        endpoint = self._door if keys else self._endpoint
        return boto3.client(
            service, region_name=self._region, endpoint_url=endpoint, **(keys or own)
        )

    def _fire(self, schedule: Mapping[str, Any], moment: datetime) -> Fired:
        service, operation = _TARGET.fullmatch(schedule["Target"]["Arn"]).groups()  # type: ignore[union-attr] # the service takes no other
        local = moment.astimezone(ZoneInfo(schedule["ScheduleExpressionTimezone"]))
        told = Fired(local, schedule["Name"], f"{service}:{operation}")
        try:
            self._call(schedule, service, operation)
        except Exception as error:
            return Fired(local, told.schedule, told.operation, str(error))
        return told

    def _call(self, schedule: Mapping[str, Any], service: str, operation: str) -> None:
        target = schedule["Target"]
        client = self._client(service, **self._role_of(schedule))
        shape = client.meta.service_model.operation_model(operation[:1].upper() + operation[1:])
        spelled = {_as_in_java(name): name for name in shape.input_shape.members}
        given = json.loads(target["Input"])
        unknown = sorted(given.keys() - spelled.keys())
        if unknown:
            raise ValueError(f"{operation} takes no {', '.join(unknown)} here")
        method = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", shape.name).lower()
        getattr(client, method)(**{spelled[name]: value for name, value in given.items()})

    def _role_of(self, schedule: Mapping[str, Any]) -> dict[str, str]:
        arn = schedule["Target"]["RoleArn"]
        role = self._client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        group = re.sub(":schedule/([^/]+)/.*", r":schedule-group/\1", schedule["Arn"])
        if not any(_trusts(s, group) for s in role["AssumeRolePolicyDocument"]["Statement"]):
            raise PermissionError(f"{arn} does not trust the scheduler for {group}")
        keys = self._client("sts").assume_role(RoleArn=arn, RoleSessionName="schedule")
        return {
            "aws_access_key_id": keys["Credentials"]["AccessKeyId"],
            "aws_secret_access_key": keys["Credentials"]["SecretAccessKey"],
            "aws_session_token": keys["Credentials"]["SessionToken"],
        }


def _trusts(statement: Mapping[str, Any], group: str) -> bool:
    wanted = statement.get("Condition", {}).get("StringEquals", {})
    facts = {"aws:SourceArn": group, "aws:SourceAccount": group.split(":")[4]}
    return (
        statement["Principal"].get("Service") == "scheduler.amazonaws.com"
        and statement["Action"] == "sts:AssumeRole"
        and all(facts.get(key) == value for key, value in wanted.items())
    )


def _as_in_java(name: str) -> str:
    """A parameter's name as the SDK for Java has it: `DBInstanceIdentifier` has another `b`."""
    return re.sub("^([A-Z])([A-Z]+)(?=[A-Z][a-z])", lambda m: m[1] + m[2].lower(), name)


def occurrences(schedule: Mapping[str, Any], begin: datetime, end: datetime) -> Iterator[datetime]:
    """When a schedule, as `GetSchedule` tells it, is due from `begin` to before `end`."""
    zone = ZoneInfo(schedule["ScheduleExpressionTimezone"])
    first, last = schedule.get("StartDate"), schedule.get("EndDate")
    once = _ONCE.fullmatch(schedule["ScheduleExpression"])
    for wall in [datetime.fromisoformat(once[1])] if once else _walls(schedule, begin, end, zone):
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) != wall:
            continue  # a time that the clock skips
        counts = once or ((not first or first <= moment) and (not last or moment <= last))
        if begin <= moment < end and counts:
            yield moment


def _walls(
    schedule: Mapping[str, Any], begin: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[datetime]:
    found = _CRON.fullmatch(schedule["ScheduleExpression"])
    if found is None:
        raise NotImplementedError(f"the expression {schedule['ScheduleExpression']}")
    minutes, hours, *days = found.groups()
    day = begin.astimezone(zone).date()
    while day <= end.astimezone(zone).date():
        if _is_on(day, days):
            for hour in _numbers(hours, 0, 23):
                for minute in _numbers(minutes, 0, 59):
                    yield datetime(day.year, day.month, day.day, hour, minute)
        day += _DAY


def _is_on(day: date, fields: list[str]) -> bool:
    of_month, months, of_week, years = fields
    return (
        day.day in _numbers(of_month, 1, 31)
        and day.month in _numbers(months, 1, 12)
        and day.weekday() in _numbers(of_week, 0, 6)
        and day.year in _numbers(years, 1970, 2199)
    )


def _numbers(field: str, low: int, high: int) -> list[int]:
    """The values of a field: `*`, `?`, numbers and days' names, with `-` and `,` between them."""
    if field in ("*", "?"):
        return list(range(low, high + 1))
    found: list[int] = []
    for part in field.split(","):
        start, _, stop = part.partition("-")
        found += range(_number(start), _number(stop or start) + 1)
    return found


def _number(word: str) -> int:
    return _DAYS.index(word) if word in _DAYS else int(word)
