"""The rungs on which every example runs, each brought up once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.processes import any_free_port, marked
from tests import capabilities
from tests.checkout import ROOT
from tests.conftest import Cli
from tests.needs import insist

ALWAYS = ("none", "sqlite", "postgres")
SPECS = {
    "none": "name: school\nscenario: none\n",
    "sqlite": "name: school\nserver:\n  port: {port}\n",
    "postgres": "name: school\nserver:\n  port: {port}\ndatabase:\n  engine: postgres\n",
    "compose": "name: school\ntarget: compose\nserver:\n  port: {port}\naccess:\n  auth: basic\n",
    "rehearsal": "name: school\ntarget: rehearsal\naws:\n  ingress: [203.0.113.0/24]\n",
}
NEEDS = {"postgres": "postgres", "compose": "containers", "rehearsal": "rehearsal"}
# The user's own: where the engine is, what was fetched before, and where from.
KEPT = ("DOCKER_", "UV_", "PIP_", "SSL_")


def rungs() -> list[str]:
    """Those without engine and lab; with `PROVISION_TEST_RUNGS=compose,rehearsal` those too."""
    more = os.environ.get(capabilities.MORE_RUNGS, "")
    return [*ALWAYS, *filter(None, more.split(","))]


def user_of(rung: str) -> dict[str, str]:
    """What whoever runs the tests has set up for a rung that needs more than this folder."""
    if rung in ALWAYS:
        return {}
    kept = {name: os.environ[name] for name in os.environ if name.startswith(KEPT)}
    return {**kept, "XDG_CACHE_HOME": str(Path.home() / ".cache")}


@dataclass(frozen=True)
class Said:
    """What a program printed, both streams in their order, and its exit code."""

    code: int
    text: str


class Forker:
    """Runs examples as programs, without loading MLflow anew for each."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.examples.forker"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, argv: list[str], cwd: Path, environment: dict[str, str]) -> Said:
        task = {"argv": argv, "cwd": str(cwd), "environment": environment}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({**task, "output": str(self._output)}) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Said(code, self._output.read_text())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass
class Rung:
    """A stack with a copy of the examples, and what they have said so far."""

    name: str
    cli: Cli
    forker: Forker
    variables: dict[str, str]
    said: dict[tuple[str, ...], Said] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return self.variables["MLFLOW_TRACKING_URI"]

    def environment(self) -> dict[str, str]:
        return {**self.cli.env(), **self.variables, "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(self, example: str, *argv: str) -> Said:
        """Run a program in an example's folder."""
        return self.forker.run(
            list(argv), self.cli.folder / "examples" / example, self.environment()
        )

    def once(self, example: str, *argv: str) -> Said:
        """Run it unless an earlier test did; it must end well."""
        key = (example, *argv)
        if key not in self.said:
            said = self.run(example, *argv)
            assert said.code == 0, f"{said.text}\n{self.cli.logs()}"
            self.said[key] = said
        return self.said[key]

    def client(self) -> Any:
        import mlflow

        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]
        os.environ |= {**self.variables, "MLFLOW_DISABLE_TELEMETRY": "true"}
        mlflow.set_tracking_uri(self.uri)
        return mlflow.MlflowClient()


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    opened = Forker(tmp_path_factory.mktemp("forker"))
    yield opened
    opened.close()


def patiently(cli: Cli, *arguments: str) -> None:
    """Images are built, or a machine boots: on a busy machine that takes its time."""
    done = subprocess.run(
        cli.command(*arguments), cwd=cli.folder, env=cli.env(), capture_output=True, text=True,
        check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{cli.logs()}"


@pytest.fixture(scope="session", params=rungs())
def rung(request: pytest.FixtureRequest, forker: Forker) -> Iterator[Rung]:
    if request.param in NEEDS:
        insist(NEEDS[request.param])
    base = Path(tempfile.mkdtemp(prefix="provision-examples-"))
    base.chmod(0o755)
    folder = base / "school"
    folder.mkdir()
    shutil.copytree(ROOT / "examples", folder / "examples")
    cli = Cli(folder, user_of(request.param))
    cli.spec(SPECS[request.param].format(port=any_free_port("127.0.0.1")))
    try:
        patiently(cli, "up", "--yes")
        variables = cli.json("env", "--show-password")["variables"]
        yield Rung(request.param, cli, forker, variables)
    finally:
        if request.param in ALWAYS:
            for process in marked(cli.root()):
                process.kill()
        else:
            patiently(cli, "down", "--delete-data", "--yes")
        shutil.rmtree(base, ignore_errors=True)
