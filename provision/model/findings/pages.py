"""The documentation of the table: the reference page, and one page for each problem."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill, indent
from typing import Final

from provision.model.findings import GROUPS, PROBLEMS
from provision.model.problem import Group, Layer, Problem
from provision.model.report import Outcome

_MADE: Final = "<!-- Made from provision/model/findings by `make findings`; do not edit. -->"
_REFERENCE: Final = f"""\
# Findings

{_MADE}

`provision check` goes from layer to layer and stops at the first broken one; the layers behind it
are `not_reached`. With `--json`, a finding's `id` is the layer's name while nothing is wrong with
it, and one of the ids below otherwise. Ids are stable. `{{names}}` stand for facts of the case.
Each id has [a page of its own](../troubleshooting/README.md), and `provision explain ID` prints it.
"""
_INDEX: Final = f"""\
# Troubleshooting

{_MADE}

Every problem that `provision` recognises has a page here, named after its id. The same text comes
from `provision explain ID`, without a network.
"""


def pages() -> Mapping[str, str]:
    """Every page that is made from the table, by its path from the root of the repository."""
    made = {
        "docs/reference/findings.md": reference(),
        "docs/troubleshooting/README.md": _index(),
    }
    for group in GROUPS:
        made |= {problem.page: page(group, problem) for problem in group.problems}
    return made


def reference() -> str:
    """The page docs/reference/findings.md."""
    return _REFERENCE + "".join(map(_chapter, GROUPS))


def page(group: Group, problem: Problem) -> str:
    """The page of one problem, in Markdown."""
    parts = [f"# `{problem.id}`", _MADE, _origin(group, problem)]
    parts += [f"## {head}\n\n{text}" for head, text in _parts(problem)]
    return "\n\n".join([*parts, *_neighbours(group, problem)]) + "\n"


def plain(problem_id: str) -> str:
    """The page of the problem with this id, for a terminal."""
    problem = PROBLEMS[problem_id]
    group = next(group for group in GROUPS if problem in group.problems)
    parts = [problem.id, _origin(group, problem)]
    parts += [f"{head}\n{indent(fill(text, 86), '  ')}" for head, text in _parts(problem)]
    return "\n\n".join(parts)


def _origin(group: Group, problem: Problem) -> str:
    layer = next(layer for layer in group.layers if layer.name == problem.layer)
    return (
        f"Severity: {problem.severity.value}. Found by `{group.command}` when it looks at: "
        f"{layer.title}."
    )


def _parts(problem: Problem) -> list[tuple[str, str]]:
    parts = [("What is wrong", problem.cause), ("What to do", problem.next_step)]
    return [*parts, ("How it shows elsewhere", problem.symptom)] if problem.symptom else parts


def _neighbours(group: Group, problem: Problem) -> list[str]:
    ids = [other.id for other in group.problems if other.layer == problem.layer]
    others = [f"[`{name}`]({name}.md)" for name in ids if name != problem.id]
    return [f"See also: {', '.join(others)}"] if others else []


def _index() -> str:
    chapters = []
    for group in GROUPS:
        rows = [f"- [`{one.id}`]({one.id}.md): {_first_sentence(one)}" for one in group.problems]
        chapters.append(f"\n## {group.title} (`{group.command}`)\n\n" + "\n".join(rows) + "\n")
    return _INDEX + "".join(chapters)


def _first_sentence(problem: Problem) -> str:
    return problem.cause.partition(". ")[0].rstrip(".").replace("|", "\\|") + "."


def _chapter(group: Group) -> str:
    sections = "".join(_section(group, layer) for layer in group.layers)
    return f"\n## {group.title}\n{sections}"


def _section(group: Group, layer: Layer) -> str:
    rows = "".join(_row(problem) for problem in group.problems if problem.layer == layer.name)
    header = "| id | cause | next step |\n| --- | --- | --- |\n"
    return f"\n### `{layer.name}`: {layer.title}\n\n{header}{rows}"


def _row(problem: Problem) -> str:
    note = " (warning)" if problem.outcome is Outcome.WARNING else ""
    cells = (f"`{problem.id}`{note}", problem.cause, problem.next_step)
    return "".join(f"| {_cell(text)} " for text in cells) + "|\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
