"""`up`, `status` and `down` as straight lines; they know no rung of the ladder by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from provision.errors import CheckFailedError
from provision.model.endpoint import Endpoint
from provision.model.report import Report
from provision.model.status import State, StatusResult
from provision.targets.base import (
    DownOptions,
    Holding,
    Looked,
    Progress,
    Snapshot,
    Started,
    Target,
    UpOptions,
)

if TYPE_CHECKING:
    from provision.app.data import CopyResult
    from provision.model.receipt import Receipt
    from provision.model.usage import Usage


@dataclass(frozen=True)
class UpResult:
    """What `up` reached.

    `paste` is the one line that points a shell at it, `others` are tracking URIs for other
    machines. `serving` is False where nothing answers at the address yet.
    """

    name: str
    uri: str
    mlflow_version: str
    changed: bool
    paste: str
    credentials_file: str | None
    username: str | None
    others: Sequence[str]
    notes: Sequence[str]
    serving: bool


def up(
    target: Target,
    options: UpOptions,
    check: Callable[[Endpoint], Report],
    progress: Progress,
    *,
    paste: Callable[[Endpoint], str],
) -> UpResult:
    """Bring the target up and prove that a client can use it.

    Raises `CheckFailedError` naming the first broken layer when it runs but cannot be used.
    """
    return proven(target.up(options, progress), check, progress, paste=paste)


def proven(
    started: Started,
    check: Callable[[Endpoint], Report],
    progress: Progress,
    *,
    paste: Callable[[Endpoint], str],
) -> UpResult:
    """What was reached, once a client can use it; raises as `up` does."""
    endpoint = started.endpoint
    if started.serving:
        with progress.step("checking from a client's side"):
            require_working(check(endpoint), endpoint)
    credentials = endpoint.credentials
    return UpResult(
        name=endpoint.name,
        uri=endpoint.uri,
        mlflow_version=endpoint.mlflow_version,
        changed=started.changed,
        paste=paste(endpoint),
        credentials_file=str(credentials.password_file) if credentials else None,
        username=credentials.username if credentials else None,
        others=endpoint.aliases,
        notes=started.notes,
        serving=started.serving,
    )


def require_working(report: Report, endpoint: Endpoint) -> None:
    """Raise `CheckFailedError` naming the first broken layer of a report."""
    failure = report.first_failure
    if failure is not None:
        raise CheckFailedError(
            f"{endpoint.uri} is up, but clients cannot use it: {failure.title}: "
            f"{failure.observed}. {failure.cause}".strip(),
            next_step=failure.next_step,
        )


@dataclass(frozen=True)
class PlanResult:
    """What `up` would do: in one line, in sentences for a decision, and everything, grouped."""

    name: str
    changes: bool
    headline: str
    sentences: Sequence[str]
    lines: Sequence[str]


def plan(target: Target, name: str, options: UpOptions, progress: Progress) -> PlanResult:
    """Look at what `up` would change; nothing is changed."""
    words = target.plan(options, progress)
    if words is None:
        return PlanResult(name, False, "nothing to change", [], [])
    return PlanResult(name, True, words.headline, words.sentences, words.lines)


def status(
    target: Looked,
    name: str,
    kind: str,
    until: str | None,
    ask_server: Callable[[Endpoint], dict[str, Any] | None],
) -> StatusResult:
    """Look at the target, and ask the server itself where one runs."""
    seen = target.snapshot()
    server = ask_server(seen.endpoint) if _answers(seen) and seen.endpoint else None
    return StatusResult(
        name=name,
        target=kind,
        state=seen.state,
        detail=_detail(seen, server),
        uri=seen.endpoint.uri if seen.endpoint else None,
        mlflow_version=seen.endpoint.mlflow_version if seen.endpoint else None,
        uptime_seconds=round(seen.uptime, 1),
        memory_bytes=seen.memory,
        processes=seen.processes,
        data_bytes=seen.data_bytes,
        free_bytes=seen.free_bytes,
        sizing=seen.sizing,
        until=until,
        server=server,
        place=seen.place,
        half_asleep=seen.half_asleep,
        cost=seen.cost,
        backup=seen.backup,
    )


def _detail(seen: Snapshot, server: dict[str, Any] | None) -> str:
    if _answers(seen) and server is None:
        return seen.unanswered
    return seen.detail


def _answers(seen: Snapshot) -> bool:
    return seen.state is State.RUNNING


@dataclass(frozen=True)
class DownResult:
    """What `down` did: processes stopped, data deleted or kept (bytes), and what was archived.

    `usage` is what the running server said before, and only asked where data goes. A stack in an
    account has a `receipt`, and the files that it is in.
    """

    name: str
    stopped_processes: int
    deleted: Sequence[Holding]
    kept: Sequence[Holding]
    notes: Sequence[str]
    archived: CopyResult | None = None
    usage: Usage | None = None
    receipt: Mapping[str, Any] | None = None
    receipt_files: Sequence[str] = ()


Keep = Callable[["Receipt"], Sequence[str]]
"""Writes a receipt; returns the files that it is in."""


def down(  # noqa: PLR0913 - all but two are passed by name
    target: Target,
    name: str,
    *,
    options: DownOptions,
    confirm: Callable[[Sequence[Holding], Usage | None], None],
    progress: Progress,
    archive: Callable[[], CopyResult] | None = None,
    ask_usage: Callable[[Endpoint], Usage | None] = lambda _: None,
    keep: Keep = lambda _: [],
) -> DownResult:
    """Stop the target; delete its data only when asked and after `confirm` returned.

    `confirm` raises when the user says no; then nothing was stopped either. `archive` is called
    by the target before anything is deleted; when it raises, the data stays. `ask_usage` asks the
    running server what it holds, and `keep` writes the receipt of a stack in an account.
    """
    holdings = target.holdings()
    if options.delete_data:
        options = replace(options, usage=_usage(target, options, ask_usage, progress))
    if options.delete_data and holdings:
        confirm(holdings, options.usage)
    result = _Kept(keep)
    if archive is not None:
        options = replace(options, archive=lambda: result.archived.append(archive()))
    stopped = target.down(replace(options, receipt=result.take), progress)
    done = DownResult(
        name,
        stopped.processes,
        [],
        holdings,
        stopped.notes,
        archived=result.archived[-1] if result.archived else None,
        usage=options.usage,
        receipt=result.receipt.to_json() if result.receipt else None,
        receipt_files=result.files,
    )
    if not options.delete_data:
        return done
    with progress.step("deleting the data"):
        target.delete_data()
    return replace(done, deleted=holdings, kept=[])


class _Kept:
    """What a teardown leaves in the caller's hands."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self.archived: list[CopyResult] = []
        self.receipt: Receipt | None = None
        self.files: Sequence[str] = ()

    def take(self, receipt: Receipt) -> None:
        """Complete a receipt with where the archive is, and write it."""
        folder = self.archived[-1].folder if self.archived else ""
        self.receipt = replace(receipt, archive=folder)
        self.files = self._keep(self.receipt)


def _usage(
    target: Target,
    options: DownOptions,
    ask_usage: Callable[[Endpoint], Usage | None],
    progress: Progress,
) -> Usage | None:
    """What the server says of itself, if it runs and is known here."""
    if options.by_tag:
        return None
    seen = target.snapshot()
    if not _answers(seen) or seen.endpoint is None:
        return None
    with progress.step("asking the server what it holds"):
        return ask_usage(seen.endpoint)
