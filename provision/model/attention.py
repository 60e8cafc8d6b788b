"""What of a stack's status asks for attention. Pure: the day comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from provision.model.checks import found
from provision.model.findings.standing import LAYERS
from provision.model.questions import Verdict
from provision.model.report import Finding, Severity
from provision.model.status import Cost, State, StatusResult
from provision.model.units import DAYS_PER_MONTH

_SOON_DAYS: Final = 7
_CERTIFICATE_HOURS: Final = 14 * 24.0
_GIGABYTE: Final = 10**9
_OLD_AUDIT_DAYS: Final = 31
_NEARLY: Final = 0.8
_OLD_BACKUP: Final = timedelta(hours=24)
_SERVING, _CAPACITY, _DATES, _SAFETY, _BACKUP, _MONEY, _DRIFT = LAYERS


def attention(
    status: StatusResult, now: datetime, holes: Verdict | None = None
) -> tuple[Finding, ...]:
    """Everything to see to, the worst first; `holes` is what is known of the server's version."""
    today = now.astimezone().date()
    return (
        *_serving(status),
        *_capacity(status),
        *_safety(status, today, holes),
        *_backups(status, now),
        *_dates(status, today),
        *_money(status),
        *_drift(status),
    )


def so_far(cost: Cost, today: date) -> Cost:
    """With what the days since it was made come to at list price, today included."""
    if cost.month is None:
        return cost
    days = (today - date.fromisoformat(cost.since)).days + 1
    return replace(cost, spent=round(cost.month / DAYS_PER_MONTH * days, 2))


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


def _safety(status: StatusResult, today: date, holes: Verdict | None) -> Iterator[Finding]:
    if holes is not None and holes.problem:
        yield found(_SAFETY, holes.problem, holes.observed, holes.facts)
    seen = status.security
    if seen is None or not seen.at:
        return
    day = seen.at[:10]
    facts = {"date": day, "what": severities(seen.severities)}
    if seen.severities:
        problem = "safety.audit-warned" if seen.passed else "safety.audit-failed"
        yield found(_SAFETY, problem, f"{facts['what']}, on {day}", facts)
    elif days_to(day, today) < -_OLD_AUDIT_DAYS:
        yield found(_SAFETY, "safety.audit-old", day, facts)


def severities(counts: Mapping[str, int]) -> str:
    """How much of which severity, the worst first."""
    ranks = [(str(rank), counts[rank]) for rank in Severity if rank in counts]
    return ", ".join(f"{number} {name}" for name, number in ranks)


def _backups(status: StatusResult, now: datetime) -> Iterator[Finding]:
    last = status.backup
    if status.state is not State.RUNNING or last is None or not last.at:
        return
    age = now - datetime.fromisoformat(last.at)
    if age > _OLD_BACKUP:
        yield found(_BACKUP, "backup.old", f"{age.days * 24 + age.seconds // 3600} hours ago",
                    {"at": last.at})  # fmt: skip


def _money(status: StatusResult) -> Iterator[Finding]:
    if status.half_asleep:
        yield found(_MONEY, "money.database-awake", status.detail, {})
    cost = status.cost
    if cost is None or cost.budget is None or cost.month_spent is None:
        return
    part = cost.month_spent / cost.budget
    if part >= _NEARLY:
        facts = {"budget": str(cost.budget), "part": f"{part:.0%}"}
        problem = "money.budget-spent" if part >= 1 else "money.budget-near"
        yield found(_MONEY, problem, f"{cost.month_spent:.2f} of {cost.budget} USD", facts)


def _drift(status: StatusResult) -> Iterator[Finding]:
    if status.drift:
        yield found(_DRIFT, "drift.changed", "; ".join(status.drift), {})


def _part(status: StatusResult, name: str) -> Mapping[str, Any]:
    return (status.server or {}).get(name) or {}
