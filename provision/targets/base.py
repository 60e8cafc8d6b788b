"""What every rung of the ladder can do: one protocol, so that no use case asks which rung it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from provision.model.endpoint import Endpoint
from provision.model.remote_session import RemoteSession
from provision.model.status import Backup, Cost, State
from provision.model.terraform_lock import LockInfo
from provision.server.places import Place

if TYPE_CHECKING:
    from provision.model.plan_words import PlanWords
    from provision.model.receipt import Receipt
    from provision.model.usage import Usage

Approve = Callable[["PlanWords"], None]
"""Shows what would be done and returns when that is agreed to; raises `RefusedError` otherwise."""


def approve_all(_: PlanWords) -> None:
    """For a caller whose call is the consent."""


def nothing() -> None:
    """For a caller who wants no copy."""


def throw_away(_: Receipt) -> None:
    """For a caller who keeps no receipt."""


@dataclass(frozen=True)
class UpOptions:
    """How `up` was asked.

    A port instead of the spec's; leave to migrate an older database. In an account: the emulated
    one instead of a real one, whom to show the plan to, what may be replaced although it holds
    data (`database`, `bucket`), and whether the account is not to be asked beforehand (`unasked`).
    """

    port: int | None = None
    upgrade_database: bool = False
    emulated: bool = False
    approve: Approve = approve_all
    allowed: frozenset[str] = frozenset()
    unasked: bool = False


@dataclass(frozen=True)
class DownOptions:
    """How `down` was asked: whether the data goes too, and whom to show a plan to.

    `archive` keeps a copy. A target calls it once, after what was to be agreed to was, with no lock
    of its own held, and before anything that holds data goes; when it raises, the data stays.
    `usage` is what the running server said of itself.

    In an account: `by_tag` trusts neither record nor state, and `run` says which of several stacks
    of a name; `lift_protection` ends a database that AWS guards; `delete_backups` also what was
    made to outlive it; `receipt` is given the receipt, also that of a teardown that failed.
    """

    delete_data: bool = False
    approve: Approve = approve_all
    archive: Callable[[], None] = nothing
    usage: Usage | None = None
    by_tag: bool = False
    run: str = ""
    lift_protection: bool = False
    delete_backups: bool = False
    receipt: Callable[[Receipt], None] = throw_away


@dataclass(frozen=True)
class Stopped:
    """What `down` did: processes that it ended, and what else there is to know."""

    processes: int
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Started:
    """What `up` did.

    `changed` is False when everything ran already with these settings, `serving` where nothing
    answers behind the endpoint yet.
    """

    endpoint: Endpoint
    changed: bool
    notes: Sequence[str] = ()
    serving: bool = True


@dataclass(frozen=True)
class Rendered:
    """A folder that was written and not run: where it is, what is in it, how it is run by hand."""

    name: str
    folder: Path
    files: Sequence[str]
    command: str


@dataclass(frozen=True)
class Snapshot:
    """A stack as seen from its own machine: bytes, counts, seconds.

    `place` names the account of a stack that is not on this machine, and `unanswered` says what it
    means when the server of a running one does not answer. `half_asleep`, `cost` and `backup` are
    as in `StatusResult`.
    """

    state: State
    detail: str
    endpoint: Endpoint | None
    memory: int
    processes: int
    uptime: float
    data_bytes: int
    free_bytes: int
    sizing: str
    place: str = ""
    unanswered: str = "it does not answer: provision check names the cause"
    half_asleep: bool = False
    cost: Cost | None = None
    backup: Backup | None = None


@dataclass(frozen=True)
class Holding:
    """One thing that `down --delete-data` would delete."""

    what: str
    path: Path
    files: int
    bytes: int


@dataclass(frozen=True)
class Held:
    """A lock of a stack's state that somebody took.

    `lives`: whether the process that took it still runs; `None` where that cannot be seen from
    here. `place` is the file or the object that is the lock.
    """

    lock: LockInfo
    lives: bool | None
    place: str


@dataclass(frozen=True)
class Repaired:
    """What `repair` did: the number of the machine's run, files uploaded anew, what it changed."""

    run: int
    uploaded: Sequence[str]
    changed: Sequence[str]


@dataclass(frozen=True)
class Paused:
    """What `pause` did, as far as there is something to know."""

    notes: Sequence[str] = ()


@dataclass(frozen=True)
class RemoteCommand:
    """How a command on the machine ended."""

    code: int
    out: str
    err: str


Tell = Callable[[str], None]


class Progress(Protocol):
    """Tells the user what is going on, without knowing where it is shown."""

    def step(self, text: str, /) -> AbstractContextManager[None]:
        """Show `text` while the body runs."""

    def note(self, text: str, /) -> None:
        """Say something once."""

    def board(self, lines: Callable[[], Sequence[str]], /) -> AbstractContextManager[Tell]:
        """Show `lines` again and again while the body runs.

        Where lines cannot be replaced, what is told to the value of the block is shown instead.
        """


class StateLock(Protocol):
    """The lock of a stack's state, which one command of Terraform holds at a time."""

    def holder(self) -> Held | None:
        """Who holds it, or held it when he was killed; `None` when it is free."""

    def remove(self, held: Held, progress: Progress) -> None:
        """Remove that very lock. Raises `RefusedError` while its owner lives."""


class Logs(Protocol):
    """Logs that are no files of this machine."""

    def log_names(self) -> Sequence[str]:
        """The logs that there are, the most useful first."""

    def log(self, name: str, lines: int) -> list[str]:
        """The last lines of one of them."""


class Remote(Logs, Protocol):
    """A server's machine that is somewhere else."""

    def repair(self, progress: Progress) -> Repaired:
        """Let the machine do all its work again, with a program that is uploaded again."""

    def tunnel(self, port: int) -> RemoteSession:
        """Open a session that leads from `port` of this machine to the server."""

    def shell(self) -> RemoteSession:
        """Open a session with a shell."""

    def run(self, command: Sequence[str]) -> RemoteCommand:
        """Run one command as root."""


class Power(Protocol):
    """A server that can be switched off for a while without losing anything, its address included.

    Somebody else may do so by the clock, too; `pause` wins over him until `resume`.
    """

    def pause(self, progress: Progress, /) -> Paused:
        """Switch it off until `resume`."""

    def resume(self, progress: Progress, /) -> Started:
        """Switch it on and wait until it answers."""


class Looked(Protocol):
    """Something that can be looked at."""

    def snapshot(self) -> Snapshot:
        """How it is now."""


class Target(Looked, Protocol):
    """A rung: something that can bring a server up and take it down again."""

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Bring it up and wait until it accepts requests. Safe to repeat and to interrupt."""

    def plan(self, options: UpOptions, progress: Progress) -> PlanWords | None:
        """What `up` would change, without changing it; `None` where it would change nothing."""

    def down(self, options: DownOptions, progress: Progress) -> Stopped:
        """Stop it. What holds data stays, unless `options` say otherwise."""

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` when it was never brought up."""

    def logs(self) -> Mapping[str, Path]:
        """Log files by name, the most useful first."""

    def holdings(self) -> Sequence[Holding]:
        """What deleting its data would delete."""

    def delete_data(self) -> None:
        """Delete the data for good. The caller has asked."""

    def data(self, progress: Progress, *, create: bool = False) -> AbstractContextManager[Place]:
        """Where its data is, held still and readable while the block runs, up or stopped.

        With `create`, a stack that was never brought up is made, but not started. Raises
        `MissingError` where there is nothing to read.
        """

    def quiet(self, progress: Progress) -> AbstractContextManager[None]:
        """Let nobody change what `data` is filled with while the block runs; afterwards it serves
        again, if it did before.
        """

    def state_lock(self) -> StateLock | None:
        """The lock of its state; `None` on a rung that has no such state."""

    def power(self) -> Power | None:
        """Its power switch; `None` on a rung that `down` and `up` switch off and on."""

    def remote(self) -> Remote | None:
        """Its machine, looked at from far away; `None` on a rung whose server is on this one."""
