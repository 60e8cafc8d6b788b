"""What AWS does by itself: a stack's schedules, put to sleep and woken.

What they do, and when, is Terraform's; whether they are awake is said here, and Terraform leaves
that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud

# UpdateSchedule replaces a schedule: what it is not told is lost (EventBridge Scheduler's API).
_KEPT: Final = (
    "Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate",
    "Description", "KmsKeyArn", "FlexibleTimeWindow", "Target", "ActionAfterCompletion",
)  # fmt: skip


def awake(cloud: Cloud, group: str) -> Mapping[str, bool]:
    """The schedules of a group, by name, and whether each is awake."""
    with explained(cloud, "look at the schedules"):
        found = cloud.paged("scheduler", "list_schedules", "Schedules", GroupName=group)
    return {str(item["Name"]): item["State"] == "ENABLED" for item in found}


def set_awake(cloud: Cloud, group: str, wanted: Callable[[str], bool | None]) -> int:
    """Wake each schedule, or put it to sleep, as `wanted` says of its name; `None` leaves it.

    Returns how many were changed. A past start is left out, which AWS would refuse and which has
    no meaning any more.
    """
    changed = 0
    for name, is_awake in awake(cloud, group).items():
        target = wanted(name)
        if target is not None and target is not is_awake:
            with explained(cloud, f"change the schedule {name}"):
                _set(cloud, group, name, awake=target)
            changed += 1
    return changed


def _set(cloud: Cloud, group: str, name: str, *, awake: bool) -> None:
    scheduler = cloud.client("scheduler")
    whole: dict[str, Any] = scheduler.get_schedule(GroupName=group, Name=name)
    kept = {key: whole[key] for key in _KEPT if whole.get(key) is not None}
    begun = kept.get("StartDate")
    if begun is not None and begun <= _now(whole):
        del kept["StartDate"]
    scheduler.update_schedule(**kept, State="ENABLED" if awake else "DISABLED")


def _now(answer: Mapping[str, Any]) -> Any:
    """AWS' own clock, from the answer's head."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
