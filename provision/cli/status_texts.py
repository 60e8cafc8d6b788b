"""The text of `status`, and how figures look everywhere. Imports as little as it can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from provision.model.status import Cost, Security, State, StatusResult
from provision.model.units import amount, format_duration

Paint = Callable[[str, str], str]

_STATES = {State.RUNNING: "good", State.STARTING: "warn", State.FAILED: "bad"}


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as left-aligned columns."""
    table = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def status(result: StatusResult, paint: Paint) -> str:
    """One screen about one stack."""
    state = paint(_STATES.get(result.state, "dim"), str(result.state.value))
    rows = [("name", result.name), ("target", result.target)]
    rows.append(("state", f"{state} ({result.detail})" if result.detail else state))
    if result.uri:
        rows.append(("tracking URI", result.uri))
    if result.mlflow_version:
        rows.append(("MLflow", result.mlflow_version))
    if result.processes:
        rows.append(("uptime", format_duration(result.uptime_seconds)))
        rows.append(("memory", f"{amount(result.memory_bytes)} in {result.processes} processes"))
    if result.sizing:
        rows.append(("sizing", result.sizing))
    if result.place:
        rows.append(("place", result.place))
    elif result.data_bytes or result.free_bytes:
        rows.append(("disk", f"{amount(result.data_bytes)} used, {amount(result.free_bytes)} free"))
    if result.until:
        rows.append(("until", result.until))
    if result.drift is not None:
        rows.append(("drift", "; ".join(result.drift) or "none"))
    rows += [*_server_rows(result.server), *_keeping_rows(result)]
    rows += [("note", words) for words in result.lifetime]
    lines = [_notice(finding, paint) for finding in result.attention]
    return "\n".join([columns(rows), *lines])


def _keeping_rows(result: StatusResult) -> list[tuple[str, str]]:
    """Money, copies, safety."""
    rows = [("cost", line) for line in _cost(result.cost)]
    if result.backup:
        at = result.backup.at
        rows.append(("last backup", f"{at}: {result.backup.what}" if at else result.backup.what))
    if result.security and (result.security.at or result.security.holes):
        rows.append(("security", _security(result.security)))
    return rows


def _cost(cost: Cost | None) -> Iterable[str]:
    if cost is None:
        return
    if cost.spent is not None:
        charged = " (emulated: nothing is charged)" if cost.emulated else ""
        yield f"about {cost.spent:.2f} USD since {cost.since}, by list prices{charged}"
    if cost.budget is not None:
        spent = f"{cost.month_spent:.2f}" if cost.month_spent is not None else "an unknown part"
        why = f" ({cost.unknown})" if cost.unknown else ""
        yield f"{spent} of {cost.budget} USD this month, as AWS counted{why}"


def _security(seen: Security) -> str:
    """What was found, when, and what the version has."""
    audit = "never audited"
    if seen.at:
        found = ", ".join(f"{count} {name}" for name, count in seen.severities.items())
        audit = f"audit of {seen.at[:10]}: {found or 'nothing found'}"
    return f"{audit}; known holes: {seen.holes}" if seen.holes else audit


def _notice(finding: Any, paint: Paint) -> str:
    style = "bad" if finding.outcome == "failed" else "warn"
    head = paint(style, f"{finding.id}: {finding.observed}")
    return f"{head}\n  cause: {finding.cause}\n  next step: {finding.next_step}"


def _server_rows(server: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if server is None:
        return []
    counts, database = server.get("counts") or {}, server.get("database") or {}
    rows = [("server", str(server.get("state", "unknown")))]
    if database:
        answer = f"{database.get('kind')}, schema {database.get('revision')}"
        answer += _sizes(database)
        rows.append(("database", answer if database.get("ok") else str(database.get("error"))))
    rows += _machine_rows(server)
    if counts:
        rows.append(
            (
                "contents",
                f"{counts.get('experiments')} experiments, {counts.get('runs')} runs, "
                f"{counts.get('registered_models')} registered models",
            )
        )
    rows += [("model", _model(told)) for told in server.get("models") or ()]
    return rows


def _model(told: Mapping[str, str]) -> str:
    version = f" version {told['version']}," if told["version"] else ""
    text = f"{told['model']}{version} {told['health']}"
    if told["rejected"]:
        text += f"; version {told['rejected']} was not taken"
    return f"{text}: {told['reason']}" if told["reason"] else text


def _sizes(database: Mapping[str, Any]) -> str:
    text = f", {amount(database['bytes'])}" if "bytes" in database else ""
    if "connections" in database:
        text += f", {database['connections']} of {database['connections_most']} connections"
    return text


def _machine_rows(server: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine, rows = server.get("machine") or {}, []
    if "disk_free_bytes" in machine:
        free, total = amount(machine["disk_free_bytes"]), amount(machine["disk_bytes"])
        rows.append(("server's disk", f"{free} of {total} free"))
    if "memory_available_bytes" in machine:
        free, total = amount(machine["memory_available_bytes"]), amount(machine["memory_bytes"])
        rows.append(("its memory", f"{free} of {total} available"))
    if server.get("certificate_ends"):
        rows.append(("certificate", f"until {server['certificate_ends']}"))
    return rows
