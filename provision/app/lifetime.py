"""What a stack's lifetime means today, beside how the stack is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from provision.model.lifetime import Lifetime
from provision.model.lifetime_words import is_taken_down, lifetime_words
from provision.model.status import State, StatusResult


def with_lifetime(
    seen: StatusResult, lifetime: Lifetime, now: datetime, *, in_account: bool
) -> StatusResult:
    """The same, with what comes next; what AWS took down as the spec asked has not failed."""
    if in_account and seen.state is State.FAILED and is_taken_down(lifetime, now):
        seen = replace(seen, state=State.STOPPED, detail=f"ended as planned: {seen.detail}")
    words = lifetime_words(
        lifetime, now, in_account=in_account, stopped=seen.state is State.STOPPED
    )
    return replace(seen, lifetime=words)
