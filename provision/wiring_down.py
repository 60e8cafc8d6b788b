"""What `down` works with. Part of the composition root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from provision import wiring_data
from provision.adapters.receipts import ReceiptFiles
from provision.adapters.tracking import TrackingClient
from provision.app import lifecycle
from provision.app.usage import usage
from provision.errors import ProvisionError
from provision.model.endpoint import Endpoint
from provision.model.usage import Usage
from provision.targets.base import DownOptions, Holding, Progress

if TYPE_CHECKING:
    from provision.wiring import OpenedStack


def down(  # noqa: PLR0913, PLR0917 - the stack's own call, with the stack
    stack: OpenedStack,
    options: DownOptions,
    confirm: Callable[[Sequence[Holding], Usage | None], None],
    progress: Progress,
    archive: Path | None,
    receipt: Path | None,
) -> lifecycle.DownResult:
    """Stop a stack; its receipt goes into its folder, and to `receipt` too."""
    keep = partial(wiring_data.archive, stack, archive, progress, users=True) if archive else None
    return lifecycle.down(
        stack.target,
        stack.spec.name,
        options=options,
        confirm=confirm,
        progress=progress,
        archive=keep,
        ask_usage=ask_usage,
        keep=ReceiptFiles(stack.layout.root / "receipts", receipt).write,
    )


def ask_usage(endpoint: Endpoint) -> Usage | None:
    """What the server says that it holds; `None` when it does not answer."""
    try:
        with TrackingClient.from_endpoint(endpoint) as client:
            return usage(client, datetime.now(UTC))
    except ProvisionError:
        return None
