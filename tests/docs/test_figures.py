"""The README quotes the committed tables, and the tables hold what was promised."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])


def test_the_readme_shows_the_measured_ratios() -> None:
    import readme

    text = readme.README.read_text(encoding="utf-8")
    assert text == readme.with_figures(text), "renew it by: python bench/readme.py"


def test_the_figures_that_the_readme_promises_are_held_by_the_tables() -> None:
    import readme

    for case, found in readme.results("server")["results"].items():
        assert found["ratios"]["memory"] <= 0.2, case
        assert found["ratios"]["speed"] >= found["ratios"]["target"], case
    assert readme.results("start")["ratio"] <= 1.3
    assert readme.results("check")["healthy"]["beyond_s"] <= 0.7
    dead = readme.results("check")["dead"]
    assert dead["check_s"] * 50 < dead["mlflow_s"]
    for command in ("provision --help", "provision version"):
        assert readme.results("cli")[command]["ratio"] <= 4, command


def test_a_host_boots_with_far_less_work_than_the_recipe() -> None:
    """A third is the target, which the table says is not held on a machine that has time."""
    import readme

    assert readme.results("boot")["ratio"] >= 1.7


def test_no_size_that_the_sizing_accepts_was_killed_for_memory() -> None:
    import readme

    rows = readme.results("memory")["rows"]
    assert [row["killed"] for row in rows] == [0] * len(rows)
    accepted = [row for row in rows if not row["refused"]]
    assert {row["size"] for row in accepted} >= {1024, 2048, 4096, 8192}
    assert all(row["requests"] and not row["errors"] for row in accepted)
    assert [row["size"] for row in rows if row["refused"]] == [512]


def test_the_road_to_an_account_costs_no_more_than_was_promised() -> None:
    """Against bare Terraform, boto3 and Python; bench/terraform.py has the limits."""
    import readme

    found = readme.results("terraform")
    for row, limit in {"plan": 1.1, "up": 1.1, "again": 1.1, "status": 1.3, "offline": 6.0}.items():
        assert found[row]["limit"] == limit, row
        assert found[row]["wall"] <= limit, row
    for row in ("plan", "up", "again"):
        assert found[row]["cpu"] < 1, row


def test_a_bucket_is_emptied_to_its_end_as_fast_as_promised() -> None:
    import emptying
    import readme

    found = readme.results("emptying")
    assert found["left"] == 0
    assert found["against_terraform"] >= emptying.AGAINST_TERRAFORM
    assert found["against_s5cmd"] <= emptying.AGAINST_S5CMD
    assert found["memory"] <= 1.25 * found["memory_of_fewer"], "memory grows with the bucket"
    assert len(found["rounds"]) == emptying.ROUNDS
