"""What `status` adds to a look at a stack: what to see to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from provision.model.attention import attention
from provision.model.status import StatusResult


def noticed(status: StatusResult, drift: Sequence[str] | None = None) -> StatusResult:
    """The status with what to see to today; `drift` is what Terraform would change, if asked."""
    today = datetime.now(UTC).astimezone().date()
    seen = replace(status, drift=drift)
    return replace(seen, attention=attention(seen, today))
