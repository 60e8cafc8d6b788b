"""What `status` adds to a look at a stack: what it has cost, how safe it is, what to see to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from provision.model.attention import attention, so_far
from provision.model.holes import Holes
from provision.model.status import Security, StatusResult


def noticed(
    status: StatusResult, security: Security, holes: Holes, drift: Sequence[str] | None = None
) -> StatusResult:
    """The status with what to see to today; `drift` is what Terraform would change, if asked.

    `security` is the last audit; the table of `holes` is asked anew about the version.
    """
    now = datetime.now(UTC)
    today = now.astimezone().date()
    known = holes.judged(status.mlflow_version, today) if status.mlflow_version else None
    seen = replace(
        status,
        drift=drift,
        cost=so_far(status.cost, now.date()) if status.cost else None,
        security=replace(security, holes=known.observed if known else ""),
    )
    return replace(seen, attention=attention(seen, now, known))
