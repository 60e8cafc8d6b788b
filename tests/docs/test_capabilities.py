"""The README's table of capabilities says what the tests have shown, no more and no less."""

from __future__ import annotations

import re

from tests import capabilities
from tests.checkout import ROOT

MARK = re.compile(r'@pytest\.mark\.capability\("([^"]+)"\)\n(?:@.*\n)*def (test_\w+)')


def marked() -> dict[str, str]:
    """Test (file and name) -> its capability, as the sources say."""
    files = sorted((ROOT / "tests/examples").glob("test_*.py"))
    return {
        f"{file.relative_to(ROOT).as_posix()}::{name}": capability
        for file in files
        for capability, name in MARK.findall(file.read_text(encoding="utf-8"))
    }


def test_the_table_is_made_from_the_results() -> None:
    text = capabilities.README.read_text(encoding="utf-8")
    assert text == capabilities.with_table(text), "renew it by: make capabilities"


def test_every_cell_is_a_test_that_exists_and_every_such_test_has_its_cells() -> None:
    cells = {
        (test.partition("[")[0], capability)
        for capability, rungs in capabilities.results().items()
        for test in rungs.values()
    }
    assert cells == set(marked().items())


def test_every_row_and_every_column_is_known() -> None:
    assert set(marked().values()) <= set(capabilities.ROWS)
    for rungs in capabilities.results().values():
        assert {"none", "sqlite", "postgres"} <= set(rungs) <= set(capabilities.RUNGS)
