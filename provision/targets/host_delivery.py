"""Brings the bundle to the bucket while an apply still goes on, so that the host need not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from provision.model.plan import Action, Plan
from provision.model.terraform_events import Event, ResourceEvent

BUCKET_IS_READY: Final = (
    # After it, whatever is written is encrypted with the stack's own key.
    "module.artifact_store.aws_s3_bucket_server_side_encryption_configuration.this"
)
ADDRESS_IS_KNOWN: Final = "module.tracking_server.aws_eip.this"
_MADE: Final = (Action.CREATE, Action.REPLACE)


class Delivery:
    """One upload, in a thread, begun as soon as what it waits for was made.

    `fetch` prepares what does not need the account, `send` uploads and returns the names of what
    changed; both get a function that takes a line about how far they are.
    """

    def __init__(
        self,
        plan: Plan,
        fetch: Callable[[Callable[[str], None]], None],
        send: Callable[[Callable[[str], None]], tuple[str, ...]],
    ) -> None:
        made = {change.address for change in plan.changes if change.action in _MADE}
        self._waiting = made & {BUCKET_IS_READY, ADDRESS_IS_KNOWN}
        self._fetch = fetch
        self._send = send
        self._may_send = threading.Event()
        self._cancelled = False
        self._line = ""
        self._changed: tuple[str, ...] = ()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not self._waiting:
            self._may_send.set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def may_send(self) -> bool:
        """Whether the account has what it waits for."""
        return self._may_send.is_set()

    def hear(self, event: Event) -> None:
        """Take in what Terraform has made."""
        if isinstance(event, ResourceEvent) and event.kind == "done" and event.action == "create":
            self._waiting.discard(event.address)
            if not self._waiting:
                self._may_send.set()

    def lines(self) -> Iterable[str]:
        """How far it is; nothing before it begins."""
        return [self._line] if self._line else []

    def cancel(self) -> None:
        """Give up, where the account will not have what it needs; wait until it has stopped."""
        self._cancelled = True
        self._may_send.set()
        self._thread.join()

    def finish(self) -> tuple[str, ...]:
        """Wait for its end; returns the names of what was new. Raises what made it fail."""
        self._may_send.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._changed

    def _run(self) -> None:
        try:
            self._fetch(self._tell)
            self._may_send.wait()
            if not self._cancelled:
                self._changed = self._send(self._tell)
            self._tell("the server's program is in the bucket")
        except BaseException as error:
            self._error = error
            self._line = ""

    def _tell(self, line: str) -> None:
        self._line = line
