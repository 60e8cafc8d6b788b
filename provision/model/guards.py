"""What is refused unless it is named: losing data, and working on somebody else's account.

Pure: what exists and what is asked for come in as values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from provision.errors import RefusedError
from provision.model.plan import Action, Change, Plan
from provision.model.resources import BUCKET, DATABASE

PROTECTED: Final = {DATABASE: "database", BUCKET: "bucket"}
"""Resource type -> the name by which a flag allows its end."""
_LOST: Final = {
    "database": "all experiments, runs and registered models in it would be lost",
    "bucket": "all models, plots and other artifacts in it would be lost",
}


@dataclass(frozen=True)
class Refusal:
    """One thing that a plan would do and may not. `flag` allows it, and is "" where none does."""

    what: str
    action: Action
    address: str
    reason: str
    flag: str

    @property
    def next_step(self) -> str:
        """What to do about it."""
        if self.flag:
            return f"if that is meant, add {self.flag}; otherwise take back what causes it"
        return (
            "set `deletion_protection: false` under `aws.settings`, run provision up, "
            "and then the same command again"
        )


def refusals(
    plan: Plan, allowed: frozenset[str] = frozenset(), *, unlocked: bool = False
) -> tuple[Refusal, ...]:
    """What `plan` would do to the database or the bucket and `allowed` does not name.

    `allowed` holds values of PROTECTED. A database that AWS itself guards against deletion is
    refused whatever is allowed, since the destruction would fail half-way, unless the caller takes
    the lock off before (`unlocked`).
    """
    return tuple(_refusals(plan, allowed, unlocked))


def _refusals(plan: Plan, allowed: frozenset[str], unlocked: bool) -> Iterator[Refusal]:
    for change in plan.changes:
        what = PROTECTED.get(change.type)
        ends = change.action in (Action.REPLACE, Action.DESTROY)
        if what is None or not (ends or change.vanished):
            continue
        if ends and change.locked and not unlocked:
            reason = f"AWS guards the {what} against deletion, and would refuse half-way"
            yield Refusal(what, change.action, change.address, reason, "")
        elif what not in allowed:
            verb = "destroy" if change.action is Action.DESTROY else "replace"
            reason = _reason(what, change)
            yield Refusal(what, change.action, change.address, reason, f"--{verb} {what}")


def _reason(what: str, change: Change) -> str:
    if change.vanished:
        return (
            f"the {what} is gone, removed by somebody else, and a new and empty one would take "
            "its place"
        )
    done = "destroyed" if change.action is Action.DESTROY else "replaced"
    kept = f", but for the snapshot {change.keeps}" if change.keeps else ""
    why = f" (because of {'; '.join(change.why)})" if change.why else ""
    return f"the {what} would be {done}: {_LOST[what]}{kept}{why}"


def require_allowed(
    plan: Plan, allowed: frozenset[str] = frozenset(), *, unlocked: bool = False
) -> None:
    """Raise RefusedError with every refusal at once, and all flags that would allow them."""
    found = refusals(plan, allowed, unlocked=unlocked)
    if not found:
        return
    locked = [refusal for refusal in found if not refusal.flag]
    flags = " ".join(dict.fromkeys(refusal.flag for refusal in found))
    step = (
        locked[0].next_step
        if locked
        else f"if that is meant, add {flags}; otherwise take back what causes it"
    )
    raise RefusedError("\n".join(refusal.reason for refusal in found), next_step=step)


@dataclass(frozen=True)
class Home:
    """Where a stack lives: an account's 12 digits and a region."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"account {self.account}, region {self.region}"


def require_home(name: str, here: Home, *, recorded: Home | None, account: str | None) -> None:
    """Raise RefusedError where a stack would be touched from the wrong account or region.

    `here` is where the credentials lead, `recorded` where the stack was made (None before its
    first run), `account` the one that the spec names.
    """
    if account is not None and account != here.account:
        raise RefusedError(
            f"{name} belongs to account {account}, as aws.account in the spec says, and these "
            f"credentials lead to {here.account}",
            next_step=f"use credentials of {account} (AWS_PROFILE chooses them), or correct "
            "aws.account",
        )
    if recorded is None or recorded == here:
        return
    if recorded.account != here.account:
        raise RefusedError(
            f"{name} was made in {recorded}, and these credentials lead to {here}",
            next_step=f"use credentials of {recorded.account} (AWS_PROFILE chooses them), or give "
            "the new stack another name",
        )
    raise RefusedError(
        f"{name} was made in {recorded}, and is now asked for in {here.region}",
        next_step=f"write `region: {recorded.region}` under `aws`, or give the new stack another "
        "name: a stack cannot move",
    )
