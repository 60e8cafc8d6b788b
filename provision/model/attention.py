"""What of a stack's status asks for attention. Pure: the day comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from provision.model.checks import found
from provision.model.findings.standing import LAYERS
from provision.model.report import Finding
from provision.model.status import State, StatusResult

_SOON_DAYS: Final = 7
_CERTIFICATE_DAYS: Final = 14
_GIGABYTE: Final = 10**9
_SERVING, _CAPACITY, _DATES, _DRIFT = LAYERS


def attention(status: StatusResult, today: date) -> tuple[Finding, ...]:
    """Everything to see to, the worst first."""
    return (*_serving(status), *_capacity(status), *_dates(status, today), *_drift(status))


def _serving(status: StatusResult) -> Iterator[Finding]:
    if status.state is not State.RUNNING:
        return
    if status.server is None:
        yield found(_SERVING, "serving.not-answering", status.detail, {})
        return
    for part in ("database", "artifacts"):
        facts = status.server.get(part) or {}
        if facts.get("ok") is False:
            yield found(_SERVING, f"serving.{part}", str(facts.get("error")), {})


def _capacity(status: StatusResult) -> Iterator[Finding]:
    machine = _part(status, "machine")
    disk, free = machine.get("disk_bytes"), machine.get("disk_free_bytes")
    if disk and free is not None and (free < disk / 10 or free < _GIGABYTE):
        observed = f"{free / _GIGABYTE:.1f} of {disk / _GIGABYTE:.1f} GB are free"
        yield found(_CAPACITY, "capacity.disk-low", observed, {})
    memory, available = machine.get("memory_bytes"), machine.get("memory_available_bytes")
    if memory and available is not None and available < memory / 10:
        observed = f"{available / _GIGABYTE:.1f} of {memory / _GIGABYTE:.1f} GB are available"
        yield found(_CAPACITY, "capacity.memory-low", observed, {})
    database = _part(status, "database")
    used, most = database.get("connections"), database.get("connections_most")
    if used and most and used >= 0.8 * most:
        facts = {"used": str(used), "most": str(most)}
        yield found(_CAPACITY, "capacity.connections", f"{used} of {most}", facts)


def _dates(status: StatusResult, today: date) -> Iterator[Finding]:
    ends = (status.server or {}).get("certificate_ends")
    if ends and days_to(ends, today) <= _CERTIFICATE_DAYS:
        observed = f"in {days_to(ends, today)} days"
        yield found(_DATES, "dates.certificate-ends", observed, {"date": ends})
    if status.until:
        left = days_to(status.until, today)
        problem = "end-passed" if left < 0 else "end-near"
        if left <= _SOON_DAYS:
            yield found(_DATES, f"dates.{problem}", f"in {left} days", {"date": status.until})


def days_to(day: str, today: date) -> int:
    """Days from today to an ISO 8601 date."""
    return (date.fromisoformat(day) - today).days


def _drift(status: StatusResult) -> Iterator[Finding]:
    if status.drift:
        yield found(_DRIFT, "drift.changed", "; ".join(status.drift), {})


def _part(status: StatusResult, name: str) -> Mapping[str, Any]:
    return (status.server or {}).get(name) or {}
