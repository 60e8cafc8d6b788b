"""The README's table of what works on which rung, made from the tests that have passed.

`make capabilities` runs the tests that carry `@pytest.mark.capability(...)`, keeps which of them
passed in docs/reference/capabilities.json, and writes the table. A cell without a passed test is
shown as not covered. Rungs that were not run keep what they had: `PROVISION_TEST_RUNGS` names those
that need a container engine or a lab.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest

from tests.checkout import ROOT

RENEW = "PROVISION_RENEW_CAPABILITIES"
MORE_RUNGS = "PROVISION_TEST_RUNGS"
RESULTS = ROOT / "docs/reference/capabilities.json"
README = ROOT / "README.md"
ROWS = (
    "tracking", "autolog", "comparing runs", "comparing in the UI", "artifacts", "datasets",
    "traces", "registry", "aliases", "promotion gate", "serving", "Projects, virtual environment",
    "Projects, conda", "Dockerfile", "notebook",
)  # fmt: skip
RUNGS = {
    "none": "no server",
    "sqlite": "local, SQLite",
    "postgres": "local, PostgreSQL",
    "compose": "Compose",
    "rehearsal": "AWS, rehearsed",
}
_START = "<!-- capabilities: make capabilities -->\n"
_END = "<!-- end of capabilities -->"


def cell_of(item: pytest.Item) -> list[tuple[str, object]]:
    """The cell that a test stands for, as a property of its report."""
    marker = item.get_closest_marker("capability")
    if marker is None:
        return []
    parameters = item.callspec.params  # type: ignore[attr-defined]
    return [("capability", [str(marker.args[0]), str(parameters["rung"]), item.nodeid])]


def renew(passed: Iterable[pytest.TestReport], failed: Iterable[pytest.TestReport] = ()) -> None:
    """Write the results and the table; cells whose tests were not run stay."""
    cells = {row: dict(found) for row, found in results().items()}
    for capability, rung, _ in _cells(failed):
        cells.get(capability, {}).pop(rung, None)
    for capability, rung, test in _cells(passed):
        cells.setdefault(capability, {})[rung] = test
    ordered = {row: dict(sorted(cells[row].items())) for row in ROWS if cells.get(row)}
    RESULTS.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


def _cells(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, str, str]]:
    for report in reports:
        for name, value in report.user_properties:
            if name == "capability":
                capability, rung, test = value  # type: ignore[misc]
                yield str(capability), str(rung), str(test).partition("@")[0]


def results() -> dict[str, dict[str, str]]:
    """Capability -> rung -> the test that passed."""
    found: dict[str, dict[str, str]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def table() -> str:
    """The table as Markdown."""
    cells = results()
    lines = [f"| | {' | '.join(RUNGS.values())} |", "|---|" + "---|" * len(RUNGS)]
    for row in ROWS:
        marks = ("yes" if rung in cells.get(row, {}) else "-" for rung in RUNGS)
        lines.append(f"| {row} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """A README's text with the table between its marks."""
    before, rest = text.split(_START)
    return f"{before}{_START}{table()}{rest[rest.index(_END) :]}"
