"""Results as text: what a person reads where a program reads JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from provision.app.lifecycle import DownResult, PlanResult, UpResult
from provision.app.stacks import StackList
from provision.app.unlock import UnlockResult
from provision.cli.status_texts import columns
from provision.model.report import Finding, Outcome, Report
from provision.model.units import amount
from provision.targets.base import Holding, Rendered, Repaired

Paint = Callable[[str, str], str]

SIGNS = {
    Outcome.OK: ("good", "ok  "),
    Outcome.WARNING: ("warn", "warn"),
    Outcome.FAILED: ("bad", "FAIL"),
    Outcome.NOT_REACHED: ("dim", "-   "),
}


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


def rendered(result: Rendered) -> str:
    """Where a folder was written, what is in it, and how it is run."""
    lines = [f"{result.name} was written to {result.folder}, and nothing was run:"]
    lines += [f"  {file}" for file in result.files]
    return "\n".join([*lines, "", "provision up runs it; by hand:", f"  {result.command}"])


def check_line(finding: Finding, paint: Paint) -> str:
    """One layer of a check, as soon as it is known."""
    style, sign = SIGNS[finding.outcome]
    time = f"{finding.milliseconds:5.0f} ms" if finding.milliseconds else " " * 8
    line = f"{paint(style, sign)} {time}  {finding.title:<49} {finding.observed}".rstrip()
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


def repaired(name: str, result: Repaired) -> str:
    """What `repair` did."""
    done = [f"{name} is as it should be: its machine has done all its work again"]
    done += ["uploaded: " + ", ".join(result.uploaded)] if result.uploaded else []
    if not result.changed:
        return "\n".join([*done, "nothing on it had to be changed"])
    return "\n".join([*done, "changed on it:", *(f"  {what}" for what in result.changed)])


def unlock(result: UnlockResult, paint: Paint) -> str:
    """What `unlock` found, and what it did."""
    return f"{paint('strong', result.name)}: {result.detail}"


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
    if result.archived:
        lines.append(f"archived in {result.archived.folder}, every row and every file checked")
    if result.receipt_files:
        lines += ["receipt:", *(f"  {file}" for file in result.receipt_files)]
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
