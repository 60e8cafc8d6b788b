"""The GitHub Actions recipes and the specs: valid, and their steps do what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.adapters.processes import any_free_port, marked
from provision.adapters.specfile import load_spec
from provision.cli.parser import build_parser
from tests.checkout import ROOT, copy_to
from tests.conftest import Cli

RECIPES = sorted((ROOT / "examples/github-actions").glob("*.yml"))
SPECS = sorted((ROOT / "examples/specs").glob("*.yaml"))


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_every_spec_is_valid(spec: Path) -> None:
    assert load_spec(spec).name


def test_there_is_a_spec_for_each_scenario() -> None:
    ladder = {(s.target, s.scenario, s.database.engine) for s in map(load_spec, SPECS)}
    assert ladder >= {
        ("local", "none", "sqlite"), ("local", "server", "sqlite"),
        ("local", "server", "postgres"), ("aws", "server", "postgres"),
    }  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_recipe_is_a_github_workflow(recipe: Path) -> None:
    """Against GitHub's schema, which comes with check-jsonschema."""
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.github-workflows", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def steps_of(recipe: Path) -> list[dict[str, Any]]:
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return [step for job in content["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_every_command_of_a_recipe_is_understood(recipe: Path) -> None:
    scripts = "\n".join(str(step.get("run", "")) for step in steps_of(recipe))
    typed = re.findall(r"^\s*provision ([^>|\n]*)", scripts, re.MULTILINE)
    assert typed
    for line in typed:
        build_parser().parse_args(shlex.split(line))


def test_whatever_a_recipe_brings_up_it_takes_down_even_after_a_failure() -> None:
    for recipe in RECIPES:
        steps = steps_of(recipe)
        brings_up = any("provision up" in str(step.get("run", "")) for step in steps)
        last = steps[-1]
        assert not brings_up or (last["if"], last["run"]) == (
            "always()", "provision down --delete-data --yes",
        )  # fmt: skip


def as_on_github(step: dict[str, Any], runner: Cli, variables: Path) -> None:
    """Run one step as GitHub does: its own shell, the variables that former steps have set."""
    script = f'set -a; . "{variables}"; set +a; set -eo pipefail\n{step["run"]}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=runner.folder / step.get("working-directory", "."),
        env={**runner.env(), "GITHUB_ENV": str(variables)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_steps_of_the_test_run_work_in_their_order(cli: Cli, tools: Path) -> None:
    copy_to(cli.folder)
    cli.environment["PATH"] = f"{tools}:{cli.env()['PATH']}"
    cli.environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    (recipe,) = (path for path in RECIPES if path.name == "test-run.yml")
    variables = cli.folder.parent / "variables"
    variables.touch()
    port = any_free_port("127.0.0.1")
    done = []
    for step in steps_of(recipe):
        if "run" not in step or step["name"] == "Install" or step.get("if") == "failure()":
            continue
        step["run"] = step["run"].replace("--name ci-run", f"--name ci-run --port {port}")
        as_on_github(step, cli, variables)
        done.append(step["name"])
    assert done == ["Bring the server up", "Train", "Pass the gate", "Take it down"]
    assert marked(cli.folder / ".provision/ci-run") == []
