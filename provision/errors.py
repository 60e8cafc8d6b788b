"""The errors a user can cause or meet: what happened, where, and the next step to take.

On the start-up path of every command: no dataclasses here, they would double its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ProvisionError(Exception):
    """A failure that the user can act on.

    `message` says where and what; `next_step` what to do about it. `exit_code` is the class's own:
    0 done, 1 failed, 2 bad usage or spec, 3 changes pending, 4 refused by a guard, 5 something
    missing on this machine, 6 a check failed, 130 interrupted.
    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(ProvisionError):
    """The command line or an environment variable cannot be understood."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong with a spec file: where it is, what it is, and what was probably meant."""

    file: str
    line: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what}" + (f" ({self.hint})" if self.hint else "")


class SpecError(ProvisionError):
    """A spec file that is not valid; carries every problem at once."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, next_step: str) -> None:
        lines = "\n".join(str(problem) for problem in problems)
        super().__init__(lines, next_step=next_step)
        self.problems = tuple(problems)


class PendingError(ProvisionError):
    """Changes are pending, or what exists has drifted from the spec."""

    exit_code = 3


class RefusedError(ProvisionError):
    """A guard refused: going on would lose data, money or access."""

    exit_code = 4


class MissingError(ProvisionError):
    """Something is missing on this machine or in this account."""

    exit_code = 5


class CheckFailedError(ProvisionError):
    """The server is there, but a client cannot use it."""

    exit_code = 6


class UserInterruptError(ProvisionError):
    """The user stopped the command; everything is in order."""

    exit_code = 130
