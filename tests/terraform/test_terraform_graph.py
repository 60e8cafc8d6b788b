"""The order that Terraform's graph imposes: the machine does not wait for the database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terraform.program import needs_terraform, workspace

pytestmark = [needs_terraform, pytest.mark.slow]
MACHINE = "module.tracking_server.aws_instance.this"
DATABASE = "module.backend_store.aws_db_instance.this"


def test_machine_and_database_start_at_the_same_time(tmp_path: Path) -> None:
    edges = _edges(workspace(tmp_path, Path("stacks/tracking")).ok("graph"))
    before_machine, before_database = _reached(edges, MACHINE), _reached(edges, DATABASE)
    # Both are in the graph, with what they do wait for.
    assert "module.tracking_server.aws_iam_role_policy.use" in before_machine
    assert "module.backend_store.aws_security_group.this" in before_database
    assert DATABASE not in before_machine
    assert MACHINE not in before_database
    # Nor does the machine wait for the bucket, whose lifecycle rules take a minute to settle.
    assert not any(".aws_s3_bucket" in node for node in before_machine)


def _edges(graph: str) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for source, target in re.findall(r'^\s*"([^"]+)" -> "([^"]+)";?$', graph, re.MULTILINE):
        edges.setdefault(source, set()).add(target)
    return edges


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    """All that `start` depends on, near and far."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = edges.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen
