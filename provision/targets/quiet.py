"""A server that stands still for a while, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provision.model.status import State
from provision.targets.base import DownOptions, Progress, Target, UpOptions


@contextmanager
def stopped(target: Target, progress: Progress) -> Iterator[None]:
    """Stop it while the block runs; it comes back either way, if it ran before."""
    ran = target.snapshot().state in (State.RUNNING, State.STARTING)
    if ran:
        target.down(DownOptions(), progress)
    try:
        yield
    finally:
        if ran:
            target.up(UpOptions(), progress)
