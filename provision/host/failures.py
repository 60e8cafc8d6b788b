"""Why a phase of the bootstrap failed: a code for programs, a cause and a next step for people."""

from __future__ import annotations

from collections.abc import Sequence

from provision.errors import ProvisionError


class HostError(ProvisionError):
    """A phase that could not be done.

    `code` is stable; `command` is what failed, where a command did, and `tail` its last lines.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        next_step: str,
        command: str = "",
        tail: Sequence[str] = (),
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.code = code
        self.command = command
        self.tail = tuple(tail)
