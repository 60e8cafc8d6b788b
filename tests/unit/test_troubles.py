"""The 25 troubles of the field: each has a finding, or a test that shows it cannot be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from provision.model.findings import PROBLEMS
from tests.troubles import TROUBLES, Trouble

TESTS = Path(__file__).parents[1]


def test_all_are_there_once() -> None:
    numbers = [trouble.number for trouble in TROUBLES]
    assert sorted(numbers) == list(range(1, 26))


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.what)
def test_its_findings_and_its_proofs_exist(trouble: Trouble) -> None:
    assert set(trouble.findings) <= set(PROBLEMS)
    assert trouble.proofs
    for proof in trouble.proofs:
        file, _, name = proof.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in tests, proof
