"""Archive, restore and move as users do it: real servers, and MLflow's own client on both sides."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.processes import any_free_port, marked
from tests.clients import client
from tests.conftest import Cli
from tests.mlflow_content import dump, fill
from tests.mlflow_servers import mlflow_server

pytestmark = pytest.mark.slow

needs_postgres = pytest.mark.needs("postgres")
WAYS = [
    ("sqlite", "sqlite"),
    pytest.param("sqlite", "postgres", marks=needs_postgres),
    pytest.param("postgres", "sqlite", marks=needs_postgres),
    pytest.param("postgres", "postgres", marks=needs_postgres),
]


def spec(cli: Cli, name: str, engine: str = "sqlite", more: str = "") -> Path:
    path = cli.folder / f"{name}.yaml"
    port = any_free_port("127.0.0.1")
    path.write_text(f"name: {name}\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n{more}")
    return path


def up(cli: Cli, path: Path) -> str:
    return str(cli.json("up", "-f", str(path))["uri"])


def without(cli: Cli, *names: str) -> None:
    for name in names:
        for process in marked(cli.folder / ".provision" / name):
            process.kill()


@pytest.fixture
def full(cli: Cli, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Any]]:
    """A running stack with everything in it, and what a client sees there."""
    path = spec(cli, "old", getattr(request, "param", "sqlite"))
    uri = up(cli, path)
    fill(cli, uri)
    yield path, dump(cli, uri)


@pytest.mark.parametrize(("full", "engine"), WAYS, indirect=["full"])
def test_a_restored_stack_is_the_same_to_every_client(
    cli: Cli, full: tuple[Path, Any], engine: str
) -> None:
    path, before = full
    folder = cli.folder / "archive"
    archived = cli.json("archive", str(folder), "-f", str(path))
    assert archived["counts"]["runs"] == len(before["runs"]) == 6
    assert archived["left"] == 0
    assert dump(cli, json.loads(cli.ok("status", "-f", str(path), "--json"))["uri"]) == before

    other = spec(cli, "new", engine)
    restored = cli.json("restore", str(folder), "-f", str(other))
    assert restored["counts"] == archived["counts"]
    uri = up(cli, other)
    assert dump(cli, uri) == before
    fill_again(cli, uri)


def fill_again(cli: Cli, uri: str) -> None:
    """New rows get new numbers: sequences stand after the restored ones."""
    program = "import mlflow; print(mlflow.MlflowClient().create_experiment('one more'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**cli.env(), "MLFLOW_TRACKING_URI": uri},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) > 3


def test_plain_mlflow_server_opens_an_archive(cli: Cli, full: tuple[Path, Any]) -> None:
    path, before = full
    folder = cli.folder / "archive"
    cli.ok("archive", str(folder), "-f", str(path))
    without(cli, "old")
    shutil.rmtree(cli.folder / ".provision")
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0
    moved = folder.rename(cli.folder / "elsewhere on a laptop")
    with opened_by_mlflow(moved) as uri:
        assert dump(cli, uri) == before


def opened_by_mlflow(folder: Path) -> Any:
    """`mlflow server` as the archive's README says it, in the archive's folder."""
    return mlflow_server(folder, cwd=folder)
