"""What `provision check` looks at, layer by layer, and how a look becomes a finding.

A finding's id is the layer's name while nothing is wrong with it, and `layer.problem` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provision.model.findings import PROBLEMS
from provision.model.problem import Layer
from provision.model.report import Finding, Outcome


@dataclass(frozen=True)
class DatabaseState:
    """What a look at a SQLite file showed. `problem` is a finding's id, or ""."""

    problem: str
    detail: str
    revision: str | None = None
    tables: int = 0


def found(layer: Layer, problem_id: str, observed: str, facts: Mapping[str, str]) -> Finding:
    """The finding that `layer` has the problem `problem_id`, its texts filled in from `facts`."""
    problem = PROBLEMS[problem_id]
    return Finding(
        id=problem.id,
        title=layer.title,
        outcome=problem.outcome,
        observed=observed,
        cause=problem.cause.format_map(facts),
        next_step=problem.next_step.format_map(facts),
        severity=problem.severity,
        page=problem.page,
    )


def passed(layer: Layer, observed: str) -> Finding:
    """The finding that nothing is wrong with `layer`."""
    return Finding(layer.name, layer.title, Outcome.OK, observed)


def not_reached(layer: Layer) -> Finding:
    """The finding that an earlier layer failed, so that this one was not looked at."""
    return Finding(layer.name, layer.title, Outcome.NOT_REACHED, "not looked at")
