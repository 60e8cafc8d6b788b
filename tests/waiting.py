"""Waiting for what other programs do, in tests of real ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(true: Callable[[], Any], what: str, seconds: float = 600.0) -> Any:
    """Wait for it; returns what made it true.

    Raises `AssertionError` with `what` when it has not happened after so many seconds; they are for
    what never will, as a busy machine takes a while.
    """
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.1)
    return found
