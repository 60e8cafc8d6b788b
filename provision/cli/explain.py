"""`explain`: what a finding means, from the table that `check` uses, without a network."""

from __future__ import annotations

from argparse import Namespace

from provision.cli.status_texts import columns
from provision.errors import UsageError
from provision.model.findings import GROUPS, PROBLEMS
from provision.model.findings.pages import plain
from provision.model.problem import Group, Problem
from provision.model.suggest import closest
from provision.ui import Ui


def explain(arguments: Namespace, ui: Ui) -> int:
    """Explain one finding, or list those of a layer, or all."""
    wanted = arguments.id
    if wanted in PROBLEMS:
        group = next(group for group in GROUPS if PROBLEMS[wanted] in group.problems)
        ui.result("explain", {"findings": [_fact(group, PROBLEMS[wanted])]}, plain(wanted))
        return 0
    rows = [
        (group, problem)
        for group in GROUPS
        for problem in group.problems
        if wanted in (None, problem.layer)
    ]
    if not rows:
        raise _unknown(wanted)
    table = columns((p.id, p.severity.value, group.command) for group, p in rows)
    ui.result("explain", {"findings": [_fact(*row) for row in rows]}, table)
    return 0


def _fact(group: Group, problem: Problem) -> dict[str, str]:
    return {
        "id": problem.id,
        "severity": problem.severity.value,
        "command": group.command,
        "cause": problem.cause,
        "next_step": problem.next_step,
        "symptom": problem.symptom,
        "page": problem.page,
    }


def _unknown(wanted: str) -> UsageError:
    meant = closest(wanted, PROBLEMS)
    hint = f"provision explain {meant}, or " if meant else ""
    return UsageError(
        f"there is no finding {wanted}", next_step=f"{hint}provision explain lists all of them"
    )
