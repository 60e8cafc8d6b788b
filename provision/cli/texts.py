"""Results as text: what a person reads where a program reads JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from provision.app.lifecycle import DownResult, PlanResult, StatusResult, UpResult
from provision.app.stacks import StackList
from provision.model.report import Finding, Outcome, Report
from provision.targets.base import Holding, State

Paint = Callable[[str, str], str]

_SIGNS = {
    Outcome.OK: ("good", "ok  "),
    Outcome.WARNING: ("warn", "warn"),
    Outcome.FAILED: ("bad", "FAIL"),
    Outcome.NOT_REACHED: ("dim", "-   "),
}
_STATES = {State.RUNNING: "good", State.STARTING: "warn", State.FAILED: "bad"}


def amount(count: float) -> str:
    """Bytes as a person says them: 1.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 3 h 12 min."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as left-aligned columns."""
    table = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def plan(result: PlanResult, paint: Paint) -> str:
    """What `up` would do: the sentences to decide by first, then everything."""
    lines = [paint("strong", f"{result.name}: {result.headline}")]
    lines += [f"  {paint('warn', sentence)}" for sentence in result.sentences]
    return "\n".join([*lines, *(f"  {line}" for line in result.lines)])


def up(result: UpResult, paint: Paint) -> str:
    """What `up` prints: the address, the one line to paste, and who may log in."""
    word = "is up" if result.changed else "was up already"
    lines = [f"{paint('strong', result.name)} {word} (MLflow {result.mlflow_version})", ""]
    lines.append(f"  tracking URI   {paint('good', result.uri)}")
    if result.others:
        lines.append(f"  for others     {result.others[0]}")
    if result.username:
        lines.append(f"  user           {result.username}")
        lines.append(f"  password       in {result.credentials_file}")
    if not result.serving:
        return "\n".join([*lines, "", *result.notes])
    lines += ["", "Paste this into a shell; every MLflow client in it logs there:", ""]
    lines.append(f"  {paint('strong', result.paste)}")
    return "\n".join(lines)


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
        rows.append(("uptime", duration(result.uptime_seconds)))
        rows.append(("memory", f"{amount(result.memory_bytes)} in {result.processes} processes"))
    if result.sizing:
        rows.append(("sizing", result.sizing))
    if result.place:
        rows.append(("place", result.place))
    else:
        rows.append(("disk", f"{amount(result.data_bytes)} used, {amount(result.free_bytes)} free"))
    if result.until:
        rows.append(("until", result.until))
    rows += _server_rows(result.server)
    return columns(rows)


def _server_rows(server: dict[str, Any] | None) -> list[tuple[str, str]]:
    if server is None:
        return []
    counts, database = server.get("counts") or {}, server.get("database") or {}
    rows = [("server", str(server.get("state", "unknown")))]
    if database:
        answer = f"{database.get('kind')}, schema {database.get('revision')}"
        rows.append(("database", answer if database.get("ok") else str(database.get("error"))))
    if counts:
        rows.append(
            (
                "contents",
                f"{counts.get('experiments')} experiments, {counts.get('runs')} runs, "
                f"{counts.get('registered_models')} registered models",
            )
        )
    return rows


def check_line(finding: Finding, paint: Paint) -> str:
    """One layer of a check, as soon as it is known."""
    style, sign = _SIGNS[finding.outcome]
    time = f"{finding.milliseconds:5.0f} ms" if finding.milliseconds else " " * 8
    line = f"{paint(style, sign)} {time}  {finding.title:<20} {finding.observed}".rstrip()
    if finding.outcome in (Outcome.FAILED, Outcome.WARNING):
        line += f"\n{'':15}cause: {finding.cause}\n{'':15}next step: {finding.next_step}"
    return line


def check_summary(report: Report, paint: Paint) -> str:
    """The last line of a check."""
    total = sum(finding.milliseconds for finding in report.findings)
    failure = report.first_failure
    if failure is None:
        return paint("good", f"{report.uri} works for clients ({total:.0f} ms)")
    return paint("bad", f"{report.uri} does not work: {failure.title} ({failure.id})")


def holdings(items: Sequence[Holding]) -> str:
    """Data with its size and place."""
    return columns(
        (f"  {item.what}", amount(item.bytes), f"{item.files} files", str(item.path))
        for item in items
    )


def down(result: DownResult) -> str:
    """What `down` prints."""
    if result.notes:
        lines = [f"{result.name} is down", *result.notes]
    elif result.stopped_processes:
        lines = [f"{result.name} is down: {result.stopped_processes} processes stopped, none left"]
    else:
        lines = [f"{result.name} was not running"]
    if result.deleted:
        lines += ["deleted:", holdings(result.deleted)]
    elif result.kept:
        lines += ["kept (provision down --delete-data deletes it):", holdings(result.kept)]
    return "\n".join(lines)


def stack_list(result: StackList) -> str:
    """The list of stacks."""
    if not result.stacks:
        return "no stacks yet: provision up makes one"
    rows = [("NAME", "TARGET", "STATE", "TRACKING URI", "FOLDER")]
    rows += [(s.name, s.target, s.state, s.uri, s.folder) for s in result.stacks]
    return columns(rows)
