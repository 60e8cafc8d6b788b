"""What `provision check` looks at, layer by layer, and how a look becomes a finding.

A finding's id is the layer's name while nothing is wrong with it, and `layer.problem` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from provision.model.findings import PROBLEMS
from provision.model.problem import Problem
from provision.model.report import Finding, Outcome


@dataclass(frozen=True)
class Layer:
    """One thing that a client needs, and that rests on the layers before it."""

    name: str
    title: str


SERVER_LAYERS: Final = (
    Layer("dns", "The server's name resolves"),
    Layer("tcp", "The port accepts connections"),
    Layer("tls", "The certificate is trusted"),
    Layer("http", "MLflow answers"),
    Layer("host", "MLflow accepts this host name"),
    Layer("auth", "The credentials are accepted"),
    Layer("version", "Client and server versions agree"),
    Layer("experiment", "An experiment can be created"),
    Layer("run", "A run's metrics, params and tags come back"),
    Layer("artifact-upload", "An artifact can be uploaded"),
    Layer("artifact-download", "The artifact comes back unchanged"),
    Layer("registry", "A model can be registered"),
    Layer("cleanup", "What was created can be deleted"),
)

STORE_LAYERS: Final = (
    Layer("database", "The database file can be used"),
    Layer("artifact-folder", "The artifact folder can be written"),
)


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
    )


def passed(layer: Layer, observed: str) -> Finding:
    """The finding that nothing is wrong with `layer`."""
    return Finding(layer.name, layer.title, Outcome.OK, observed)


def not_reached(layer: Layer) -> Finding:
    """The finding that an earlier layer failed, so that this one was not looked at."""
    return Finding(layer.name, layer.title, Outcome.NOT_REACHED, "not looked at")


def reference() -> str:
    """The page docs/reference/findings.md."""
    head = """\
# Findings

<!-- Made from provision/model/findings.py by provision.model.checks.reference(); do not edit. -->

`provision check` goes from layer to layer and stops at the first broken one; the layers behind it
are `not_reached`. With `--json`, a finding's `id` is the layer's name while nothing is wrong with
it, and one of the ids below otherwise. Ids are stable. `{names}` stand for facts of the case.
"""
    server = "".join(_section(layer) for layer in SERVER_LAYERS)
    store = "".join(_section(layer) for layer in STORE_LAYERS)
    return f"{head}\n## With a server\n{server}\n## Without a server\n{store}"


def _section(layer: Layer) -> str:
    problems = [entry for entry in PROBLEMS.values() if entry.id.partition(".")[0] == layer.name]
    rows = "".join(map(_row, problems))
    header = "| id | cause | next step |\n| --- | --- | --- |\n"
    return f"\n### `{layer.name}`: {layer.title}\n\n{header}{rows}"


def _row(problem: Problem) -> str:
    note = " (warning)" if problem.outcome is Outcome.WARNING else ""
    cells = (f"`{problem.id}`{note}", problem.cause, problem.next_step)
    return "".join(f"| {_cell(text)} " for text in cells) + "|\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
