"""The kit from Python: what the commands do, with values in and values out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from provision import wiring
from provision.adapters.client import finish_active_run
from provision.app import lifecycle
from provision.model.endpoint import Endpoint
from provision.model.report import Report
from provision.model.status import StatusResult
from provision.settings import read_settings
from provision.targets.base import DownOptions, Tell, UpOptions


class _Silent:
    """Progress for callers who have no terminal."""

    @contextlib.contextmanager
    def step(self, _: str) -> Iterator[None]:
        """Say nothing while the body runs."""
        yield

    def note(self, _: str) -> None:
        """Say nothing."""

    @contextlib.contextmanager
    def board(self, _: Callable[[], Sequence[str]]) -> Iterator[Tell]:
        """Show nothing while the body runs."""
        yield self.note


class RunningStack:
    """A server that is up. As a context manager it gives its endpoint and stops at the end.

    Leaving the block stops only what `up()` started: a server that ran before keeps running.
    The data stays either way.
    """

    def __init__(self, stack: Stack, endpoint: Endpoint, *, started_here: bool) -> None:
        self.endpoint = endpoint
        self.started_here = started_here
        self._stack = stack

    def __enter__(self) -> Endpoint:
        return self.endpoint

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.started_here:
            self._stack.down()


class Stack:
    """One stack: what a spec describes, wherever it runs.

    Every method raises `provision.errors.ProvisionError` with a message and a next step.
    """

    def __init__(self, opened: wiring.OpenedStack) -> None:
        self._opened = opened

    @classmethod
    def load(cls, file: str | Path | None = None, *, state_dir: str | Path | None = None) -> Stack:
        """The stack of a spec file; without one, `provision.yaml` here or the default spec."""
        settings = read_settings(
            str(file) if file is not None else None,
            str(state_dir) if state_dir is not None else None,
        )
        return cls(wiring.open_stack(settings))

    @property
    def name(self) -> str:
        """The stack's name."""
        return self._opened.spec.name

    def up(self, *, port: int | None = None, upgrade_database: bool = False) -> RunningStack:
        """Bring it up and check it as a client; returns when a client really works.

        Raises `CheckFailedError` when it runs but cannot be used.
        """
        progress = _Silent()
        options = UpOptions(port, upgrade_database)
        started = self._opened.target.up(options, progress)
        if started.serving:
            lifecycle.require_working(self._opened.check(started.endpoint), started.endpoint)
        self._opened.remember(started.endpoint.uri)
        return RunningStack(self, started.endpoint, started_here=started.changed)

    def down(self, *, delete_data: bool = False) -> lifecycle.DownResult:
        """Stop it; with `delete_data` delete its runs and artifacts, without asking.

        A run that this process has open there is ended first.
        """
        endpoint = self._opened.target.endpoint()
        if endpoint is not None:
            finish_active_run(endpoint.uri)
        options = DownOptions(delete_data)
        return self._opened.down(options, confirm=_agree, progress=_Silent())

    def check(self) -> Report:
        """Look at it from a client's side."""
        return self._opened.check(self._opened.require_endpoint())

    def status(self) -> StatusResult:
        """State, address, size and contents."""
        return self._opened.status()


def _agree(_: Sequence[object], __: object) -> None:
    """The caller's `delete_data=True` is the consent."""
