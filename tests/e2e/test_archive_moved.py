"""Archive, restore and move as users do it: real servers, accounts, and plain `mlflow server`."""

from __future__ import annotations

import contextlib
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
from tests.server.running import call, end

pytestmark = pytest.mark.slow

ACCOUNTS = "access:\n  auth: basic\n"
ADD_A_STUDENT = """
from mlflow.server import get_app_client
import mlflow
users = get_app_client("basic-auth", tracking_uri=mlflow.get_tracking_uri())
users.create_user("ana", "a-long-enough-password")
print("added")
"""


def spec(cli: Cli, name: str, engine: str = "sqlite", more: str = "") -> Path:
    path = cli.folder / f"{name}.yaml"
    port = any_free_port("127.0.0.1")
    text = f"name: {name}\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n{more}"
    path.write_text(text, encoding="utf-8")
    return path


def as_admin(cli: Cli, path: Path) -> dict[str, str]:
    """What a client needs of the stack's administrator."""
    password = cli.folder / ".provision" / path.stem / "secrets/admin-password"
    return {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": password.read_text().strip(),
    }


@contextlib.contextmanager
def opened_by_mlflow(folder: Path) -> Iterator[str]:
    """`mlflow server` as the archive's README says it: in its folder, with a port and no more."""
    port = any_free_port("127.0.0.1")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                if call(port, "GET", "/health").status == 200:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


@pytest.mark.needs("postgres")
def test_everything_outlives_its_server(cli: Cli) -> None:
    """A running stack with accounts, plain MLflow, and a new stack on the other database."""
    old, new = spec(cli, "old", more=ACCOUNTS), spec(cli, "new", "postgres", ACCOUNTS)
    uri = cli.json("up", "-f", str(old))["uri"]
    (cli.folder / "provision.yaml").symlink_to(old)
    assert client(cli, ADD_A_STUDENT) == "added"
    fill(cli, uri, **as_admin(cli, old))
    before = dump(cli, uri, **as_admin(cli, old))

    folder = cli.folder / "archive"
    archived = cli.json("archive", str(folder), "-f", str(old))
    assert archived["counts"]["experiments"] > 4 and archived["accounts"] == 2
    assert archived["notes"] == []
    down = cli.json("down", "-f", str(old), "--delete-data", "--yes")
    assert down["deleted"] and not (cli.folder / ".provision/old").exists()
    used = down["usage"]
    assert (used["answered"], used["experiments"]) == (True, archived["counts"]["experiments"] - 1)
    assert used["runs"] > 0 and used["last"] and used["people"]

    laptop = Path(shutil.copytree(folder, cli.folder / "on a laptop"))
    with opened_by_mlflow(laptop) as plain:
        assert dump(cli, plain) == before

    restored = cli.json("restore", str(folder), "-f", str(new))
    assert restored["counts"] == archived["counts"]
    there = cli.json("up", "-f", str(new))["uri"]
    assert dump(cli, there, **as_admin(cli, new)) == before
    student = {
        "MLFLOW_TRACKING_USERNAME": "ana",
        "MLFLOW_TRACKING_PASSWORD": "a-long-enough-password",
    }
    assert dump(cli, there, **student)["runs"] == before["runs"]


def test_moving_from_no_server_to_one_that_runs_and_archiving_on_the_way_down(cli: Cli) -> None:
    first = cli.folder / "first.yaml"
    first.write_text("name: first\nscenario: none\n", encoding="utf-8")
    store = cli.json("up", "-f", str(first))["uri"]
    artifacts = {"_MLFLOW_SERVER_ARTIFACT_ROOT": str(cli.folder / ".provision/first/artifacts")}
    fill(cli, store, **artifacts)
    before = dump(cli, store, **artifacts)

    second = spec(cli, "second")
    uri = cli.json("up", "-f", str(second))["uri"]
    moved = cli.json("move", "--to", str(second), "-f", str(first))
    assert moved["name"] == "second" and moved["counts"]["runs"] == len(before["runs"])
    assert cli.json("status", "-f", str(second))["state"] == "running"
    assert dump(cli, store, **artifacts) == before
    own = cli.folder / ".provision/first/artifacts"
    text = json.dumps(before).replace(own.as_uri(), "mlflow-artifacts:")
    served = json.loads(text.replace(str(own), "mlflow-artifacts:"))
    there = dump(cli, uri)
    # Models look a little different through a server than without one, whatever they are.
    same = ("experiments", "runs", "prompts", "traces")
    assert {name: there[name] for name in same} == {name: served[name] for name in same}
    refused = cli.run("move", "--to", str(second), "-f", str(first))
    assert refused.returncode == 4 and "not empty" in refused.stderr
    assert cli.json("status", "-f", str(second))["state"] == "running", "it came back"

    inside = cli.run("down", "-f", str(second), "--archive", ".provision/second/archive")
    assert inside.returncode == 2
    down = ("down", "-f", str(second), "--archive", "end", "--delete-data", "--yes")
    done = cli.json(*down)
    assert done["archived"]["counts"] == moved["counts"] and done["deleted"]
    cli.ok("restore", "end", "-f", str(second))
    cli.ok("up", "-f", str(second))
    assert dump(cli, uri) == there


@pytest.mark.needs("postgres")
def test_ctrl_c_while_a_stopped_postgres_is_archived_leaves_nothing_running(cli: Cli) -> None:
    path = spec(cli, "old", "postgres")
    cli.ok("up", "-f", str(path))
    folder = cli.folder / ".provision/old/artifacts/1" / ("a" * 32)
    folder.mkdir(parents=True)
    for number in range(80):
        (folder / f"{number}.bin").write_bytes(bytes(4 << 20))
    cli.ok("down", "-f", str(path))
    command = cli.command("archive", "there", "-f", str(path))
    started = subprocess.Popen(
        command, cwd=cli.folder, env=cli.env(), stderr=subprocess.PIPE, text=True
    )
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("copying artifacts"):
            break
    started.send_signal(signal.SIGINT)
    said = started.stderr.read()
    assert started.wait(timeout=60) == 130, said
    assert "goes on where it stopped" in said and "Traceback" not in said
    assert marked(cli.folder / ".provision/old") == []
    result: dict[str, Any] = cli.json("archive", "there", "-f", str(path))
    assert result["artifact_files"] >= 80
