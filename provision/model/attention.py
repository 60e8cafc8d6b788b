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
_CERTIFICATE_HOURS: Final = 14 * 24.0
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
    server = status.server or {}
    if server.get("certificate_ends") and _renewal_is_late(server):
        facts = {"date": server["certificate_ends"]}
        yield found(_DATES, "dates.certificate-ends", _hours(server["certificate_hours"]), facts)
    if status.until:
        left = days_to(status.until, today)
        problem = "end-passed" if left < 0 else "end-near"
        if left <= _SOON_DAYS:
            yield found(_DATES, f"dates.{problem}", f"in {left} days", {"date": status.until})


def _renewal_is_late(server: Mapping[str, Any]) -> bool:
    """Web servers renew when a third is left (Caddy's own certificates live for 12 hours)."""
    late = min(_CERTIFICATE_HOURS, server["certificate_valid_hours"] / 6)
    return bool(server["certificate_hours"] <= late)


def _hours(left: float) -> str:
    return f"in {left / 24:.0f} days" if left >= 48 else f"in {left:.0f} hours"


def days_to(day: str, today: date) -> int:
    """Days from today to an ISO 8601 date."""
    return (date.fromisoformat(day) - today).days


def _drift(status: StatusResult) -> Iterator[Finding]:
    if status.drift:
        yield found(_DRIFT, "drift.changed", "; ".join(status.drift), {})


def _part(status: StatusResult, name: str) -> Mapping[str, Any]:
    return (status.server or {}).get(name) or {}
