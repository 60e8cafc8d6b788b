"""Rules between settings of the section `lifetime`, and with what AWS is to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provision.model.complaints import Complaint
from provision.model.rule import Rule

if TYPE_CHECKING:
    from provision.model.spec import Spec

_UNTIL: Final = ("lifetime", "until")
_AT_END: Final = ("lifetime", "at_end")
_HOURS: Final = ("lifetime", "hours")
_HOLIDAYS: Final = ("lifetime", "holidays")
_BUDGET: Final = ("lifetime", "budget")
_EMAIL: Final = ("lifetime", "alarm_email")
_PROFILE: Final = ("aws", "instance_profile")
_PROTECTED: Final = ("aws", "settings", "deletion_protection")


def _budget_tells_somebody(spec: Spec) -> Complaint | None:
    if spec.lifetime.budget is None or spec.lifetime.alarm_email is not None:
        return None
    message = "a budget tells somebody, and nobody is named"
    return Complaint(_BUDGET, message, "write `alarm_email` under `lifetime`, too")


def _holidays_need_hours(spec: Spec) -> Complaint | None:
    if not spec.lifetime.holidays or spec.lifetime.hours is not None:
        return None
    message = "holidays are days on which office hours start nothing, and there are no hours"
    return Complaint(_HOLIDAYS, message, "write `hours` under `lifetime`, or remove the list")


def _teardown_has_a_day(spec: Spec) -> Complaint | None:
    if spec.lifetime.at_end == "stop" or spec.lifetime.until is not None:
        return None
    return Complaint(_AT_END, "there is no last day", "write `until` under `lifetime`, too")


def _teardown_is_possible(spec: Spec) -> Complaint | None:
    chosen = spec.aws.settings.deletion_protection
    protected = spec.aws.profile == "team" if chosen is None else chosen
    if spec.lifetime.at_end == "stop" or not protected:
        return None
    message = "AWS itself locks the database against deletion (`deletion_protection`)"
    hint = "write `deletion_protection: false` under `aws.settings`, or `at_end: stop`"
    return Complaint(_AT_END, message, hint)


def _schedules_have_a_role(spec: Spec) -> Complaint | None:
    lifetime = spec.lifetime
    if spec.aws.instance_profile is None or (lifetime.hours is None and lifetime.at_end == "stop"):
        return None
    path = _AT_END if lifetime.hours is None else _HOURS
    message = "AWS' scheduler acts by a role of its own, which cannot be made in this account"
    hint = "remove the line (provision pause and resume work by hand), or `instance_profile`"
    return Complaint(path, message, hint)


RULES: Final = (
    Rule("`budget` needs an `alarm_email`.", (_BUDGET, _EMAIL), _budget_tells_somebody),
    Rule("`holidays` go with `hours` only.", (_HOLIDAYS, _HOURS), _holidays_need_hours),
    Rule("`at_end: teardown` needs `until`.", (_AT_END, _UNTIL), _teardown_has_a_day),
    Rule(
        "`at_end: teardown` goes with a database that AWS does not lock.",
        (_AT_END, _PROTECTED),
        _teardown_is_possible,
    ),
    Rule(
        "`hours` and `at_end: teardown` need an account that lets roles be made: no "
        "`aws.instance_profile`.",
        (_HOURS, _AT_END, _PROFILE),
        _schedules_have_a_role,
    ),
)
