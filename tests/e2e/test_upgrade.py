"""A server of an older MLflow, in an environment of its own, moved to ours and taken back."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from provision import wiring, wiring_upgrade
from provision.adapters.packages import installed_version
from provision.adapters.processes import any_free_port
from provision.adapters.tracking import TrackingClient
from provision.errors import CheckFailedError
from provision.model.endpoint import Endpoint
from provision.model.report import Finding, Outcome, Report
from provision.settings import read_settings
from tests.checkout import ROOT
from tests.conftest import Cli
from tests.progress import Quiet

pytestmark = pytest.mark.slow
OLDER = "3.16.1"  # its tracking schema is another one


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A Python with that MLflow; what else the server needs is lent from our environment."""
    folder = tmp_path / "older"
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, f"mlflow=={OLDER}"], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = f"{sysconfig.get_path('purelib')}\n{ROOT}\n"
    (packages / "zz-lent.pth").write_text(lines, encoding="utf-8")
    return python


def runs(endpoint: Endpoint, name: str = "") -> set[str]:
    """The names of all runs, once another was logged."""
    with TrackingClient.from_endpoint(endpoint, timeout=60) as client:
        if name:
            client.create_run("0", name)
        found = client.post("runs/search", experiment_ids=["0"]).get("runs", [])
    return {run["info"]["run_name"] for run in found}


def failing(_: Endpoint) -> Report:
    return Report(
        "", [Finding("http.injected", "a request", Outcome.FAILED, "it was made to fail")]
    )


def agree(_old: str, _new: str) -> None:
    pass


def test_an_upgrade_that_fails_its_check_is_taken_back_and_the_next_one_stays(
    cli: Cli, older: Path
) -> None:
    cli.spec(f"name: grows\nserver: {{port: {any_free_port('127.0.0.1')}}}\n")
    up = subprocess.run(
        [older, "-m", "provision", "up", "--json"], cwd=cli.folder, env=cli.env(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert up.returncode == 0, up.stderr
    stack = wiring.open_stack(read_settings(str(cli.folder / "provision.yaml"), None))
    try:
        endpoint = stack.require_endpoint()
        assert endpoint.mlflow_version == OLDER
        assert runs(endpoint, "first") == {"first"}
        moving = replace(wiring_upgrade.of(stack, Quiet()), check=failing)
        with pytest.raises(CheckFailedError, match=f"back at {OLDER}, with its database as it was"):
            moving.run(agree)
        assert stack.require_endpoint().mlflow_version == OLDER
        assert runs(endpoint, "second") == {"first", "second"}

        moved = cli.json("upgrade", "--yes")
        now = installed_version("mlflow")
        assert (moved["before"], moved["now"], moved["pin"]) == (OLDER, now, f"mlflow=={now}")
        assert moved["schemas"]["tracking"]["rows"] > 0
        assert Path(moved["kept"], "mlflow.db").is_file()
        assert runs(endpoint) == {"first", "second"}
        assert f"mlflow=={now}" in cli.run("env", "--format", "requirements").stdout
        assert not cli.json("upgrade")["changed"]
    finally:
        cli.run("down")
