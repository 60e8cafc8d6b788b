"""Who works with a running server, and with how much: asked of the server itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from provision.model.usage import Usage

_WEEK = timedelta(days=7)
_PAGE = 1000
_MOST_PAGES = 5  # enough to name people; a busy week has more runs than anybody reads
_EXPERIMENTS_AT_ONCE = 200


class Server(Protocol):
    """What is asked of the server; `adapters.tracking.TrackingClient` does it."""

    def server_status(self) -> dict[str, Any] | None:
        """What it says of itself."""

    def post(self, route: str, **fields: Any) -> dict[str, Any]:
        """Call one of MLflow's routes."""


def usage(server: Server, now: datetime) -> Usage:
    """Counts, the last run, and who logged one in the week before `now`.

    Raises `ProvisionError` where the server does not answer.
    """
    counts = (server.server_status() or {}).get("counts") or {}
    recent = list(_recent(server, now - _WEEK))
    started = max((int(run["info"].get("start_time") or 0) for run in recent), default=0)
    return Usage(
        answered=True,
        experiments=counts.get("experiments"),
        runs=counts.get("runs"),
        models=counts.get("registered_models"),
        last=_time(started or _latest(server)),
        people=sorted({name for run in recent if (name := _who(run))}),
    )


def _recent(server: Server, since: datetime) -> Iterator[dict[str, Any]]:
    """Runs that started after a moment, the newest first."""
    wanted = f"attributes.start_time > {int(since.timestamp() * 1000)}"
    for experiments in _experiments(server):
        yield from _runs(server, experiments, filter=wanted)


def _latest(server: Server) -> int:
    """When the newest run of all started; 0 without any."""
    newest = [
        run
        for experiments in _experiments(server)
        for run in _runs(server, experiments, max_results=1, pages=1)
    ]
    return max((int(run["info"].get("start_time") or 0) for run in newest), default=0)


def _experiments(server: Server) -> Iterator[Sequence[str]]:
    """The ids of all experiments that are not deleted, some at a time."""
    for found in _pages(server, "experiments/search", _MOST_PAGES * 10, max_results=_PAGE):
        ids = [str(item["experiment_id"]) for item in found.get("experiments", [])]
        for start in range(0, len(ids), _EXPERIMENTS_AT_ONCE):
            yield ids[start : start + _EXPERIMENTS_AT_ONCE]


def _runs(
    server: Server,
    experiments: Sequence[str],
    *,
    pages: int = _MOST_PAGES,
    max_results: int = _PAGE,
    **fields: Any,
) -> Iterator[dict[str, Any]]:
    found = _pages(
        server,
        "runs/search",
        pages,
        experiment_ids=list(experiments),
        order_by=["attributes.start_time DESC"],
        max_results=max_results,
        **fields,
    )
    for page in found:
        yield from page.get("runs", [])


def _pages(server: Server, route: str, most: int, **fields: Any) -> Iterator[Mapping[str, Any]]:
    token = ""
    for _ in range(most):
        page = server.post(route, **fields, **({"page_token": token} if token else {}))
        yield page
        token = str(page.get("next_page_token") or "")
        if not token:
            return


def _who(run: Mapping[str, Any]) -> str:
    tags = {tag["key"]: tag["value"] for tag in run.get("data", {}).get("tags", [])}
    return str(tags.get("mlflow.user") or run["info"].get("user_id") or "")


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
