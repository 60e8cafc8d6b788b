"""How long resources usually take: the table behind "about 4 min left".

Seconds, by type and by Terraform's action (create, update, delete). Two tables, because an emulated
account answers at once and only the provider's own waits remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from provision.model.resources import BUCKET, DATABASE, MACHINE, noun


class Source(StrEnum):
    """Where a figure is from.

    LOGS: read from logs of applies on AWS that people published with their repositories (2020 to
    2026, other regions and sizes). ESTIMATE: nobody measured it; chosen between such figures and
    the provider's own waits. MEASURED: taken here,
    with Terraform 1.11 and the provider 5.100 against the emulated account (2026-11-21).
    """

    LOGS = "logs"
    ESTIMATE = "estimate"
    MEASURED = "measured"


@dataclass(frozen=True)
class Typical:
    """A usual duration in seconds, where it is from, and what to know about it."""

    seconds: float
    source: Source
    note: str = ""


Table = Mapping[tuple[str, str], Typical]


def _logs(seconds: float, note: str) -> Typical:
    return Typical(seconds, Source.LOGS, note)


def _estimate(seconds: float, note: str = "") -> Typical:
    return Typical(seconds, Source.ESTIMATE, note)


def _measured(seconds: float, note: str = "") -> Typical:
    return Typical(seconds, Source.MEASURED, note)


_WAIT = "the provider waits until several reads agree"
ON_AWS: Final[Table] = {
    (DATABASE, "create"): _estimate(
        400, "seven logs of small ones: 196 to 296 s; ours makes its first backup too, and a "
        "standby takes minutes more",
    ),
    (DATABASE, "update"): _logs(390, "one log: 387 s; what needs no new machine is faster"),
    (DATABASE, "delete"): _estimate(
        240, "three logs: 111 to 116 s, one of 634 s; a last snapshot takes minutes more"
    ),
    (MACHINE, "create"): _logs(14, "five logs: 12 to 16 s"),
    (MACHINE, "update"): _estimate(60, "stopping and starting; a tag alone takes 2 s"),
    (MACHINE, "delete"): _logs(35, "two logs: 29 and 47 s"),
    ("aws_db_parameter_group", "create"): _estimate(3),
    ("aws_iam_instance_profile", "create"): _estimate(7, _WAIT),
    ("aws_iam_role", "create"): _estimate(2),
    ("aws_internet_gateway", "delete"): _logs(15, "two logs: 11 and 45 s; it waits for addresses"),
    (BUCKET, "create"): _estimate(3),
    ("aws_s3_bucket_lifecycle_configuration", "create"): _estimate(55, _WAIT),
    ("aws_s3_bucket_lifecycle_configuration", "update"): _estimate(55, _WAIT),
    ("aws_s3_bucket_versioning", "create"): _estimate(3),
    ("aws_security_group", "create"): _logs(3, "ten and more: 2 to 3 s"),
    ("aws_subnet", "create"): _logs(12, "one log of a public one: 13 s; of a private one: 3 s"),
    ("aws_vpc", "create"): _estimate(12, "10 s of it between two calls of the provider"),
    ("aws_vpc_endpoint", "create"): _logs(6, "nine logs: 6 to 7 s"),
    ("aws_vpc_endpoint", "delete"): _estimate(7, _WAIT),
}  # fmt: skip
EMULATED: Final[Table] = {
    (DATABASE, "create"): _measured(160, "two waits of 80 s: creating it, choosing its authority"),
    (DATABASE, "update"): _measured(80),
    (DATABASE, "delete"): _measured(60),
    (MACHINE, "create"): _measured(10),
    (MACHINE, "update"): _measured(20, "another type; a tag alone takes no time"),
    (MACHINE, "delete"): _measured(10),
    ("aws_iam_instance_profile", "create"): _measured(5),
    ("aws_s3_bucket_lifecycle_configuration", "create"): _measured(55),
    ("aws_s3_bucket_lifecycle_configuration", "update"): _measured(55),
    ("aws_vpc", "create"): _measured(10),
    ("aws_vpc_endpoint", "create"): _measured(5),
    ("aws_vpc_endpoint", "delete"): _measured(6),
}
_REST_ON_AWS: Final = _estimate(2, "one or two calls")
_REST_EMULATED: Final = _measured(1)


def typical(type_: str, action: str, *, emulated: bool = False) -> Typical:
    """The usual duration of one action on a resource of a type; every pair has one."""
    if emulated:
        return EMULATED.get((type_, action), _REST_EMULATED)
    return ON_AWS.get((type_, action), _REST_ON_AWS)


def spoken(seconds: float, *, exact: bool = True) -> str:
    """A duration for people: `45 s`, `4 min 10 s`, `1 h 5 min`; not `exact`, `about` it."""
    whole = max(0, round(seconds))
    if not exact:
        whole = whole if whole < 60 else round(whole / 60) * 60
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def reference() -> str:
    """The page docs/reference/durations.md."""
    head = """\
# Durations

<!-- Made from provision/model/durations.py by its reference(); do not edit. -->

What the live view of `up` and `down` counts with. `logs`: read from logs of applies on AWS that
people published with their repositories. `estimate`: nobody measured it. `measured`: taken here,
with Terraform 1.11 and the provider 5.100 against the emulated account.
"""
    on_aws = _section("On AWS", ON_AWS, _REST_ON_AWS)
    return head + on_aws + _section("Emulated", EMULATED, _REST_EMULATED)


def _section(heading: str, table: Table, rest: Typical) -> str:
    rows = [
        (f"{noun(type_)} (`{type_}`)", action, found) for (type_, action), found in table.items()
    ]
    rows.append(("everything else", "any", rest))
    lines = (
        f"| {what} | {action} | {found.seconds:g} | {found.source} | {found.note} |\n"
        for what, action, found in rows
    )
    columns = "| what | action | seconds | source | note |\n| --- | --- | --- | --- | --- |\n"
    return f"\n## {heading}\n\n{columns}{''.join(lines)}"
