"""The local rung as a user lives with it: real MLflow, real databases, real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import psutil
import pytest

from provision.adapters.processes import marked
from tests.clients import client
from tests.conftest import Cli

pytestmark = pytest.mark.slow

needs_postgres = pytest.mark.needs("postgres")
ENGINES = ["sqlite", pytest.param("postgres", marks=needs_postgres)]

LOG_A_RUN = """
import mlflow, sys
mlflow.set_experiment("churn")
with mlflow.start_run() as run:
    mlflow.log_param("depth", 3)
    mlflow.log_metric("auc", 0.81)
    mlflow.log_text("naïve", "note.txt")
print(run.info.run_id)
"""
READ_A_RUN = """
import mlflow, sys
run = mlflow.get_run(sys.argv[1])
assert run.data.metrics == {"auc": 0.81} and run.data.params == {"depth": "3"}
print(mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
"""


def eventually(condition: Callable[[], bool], patience: float = 90) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("engine", ENGINES)
def test_runs_survive_down_and_up(cli: Cli, port: int, engine: str) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n")
    result = cli.json("up")
    assert result["uri"] == f"http://127.0.0.1:{port}"
    assert result["paste"] == f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}"
    run = client(cli, LOG_A_RUN)

    status = cli.json("status")
    assert status["state"] == "running"
    assert status["server"]["counts"]["runs"] == 1
    assert status["server"]["database"]["kind"] == (
        "postgresql" if engine == "postgres" else engine
    )
    assert status["memory_bytes"] > 0 and status["uptime_seconds"] > 0

    root = cli.root()
    assert cli.json("down")["stopped_processes"] > 0
    assert marked(root) == []
    assert cli.json("status")["state"] == "stopped"

    cli.ok("up")
    assert client(cli, READ_A_RUN, run) == "naïve"


def test_up_twice_changes_nothing(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    assert cli.json("up")["changed"] is True
    before = {p.pid for p in marked(cli.root())}
    assert cli.json("up")["changed"] is False
    assert {p.pid for p in marked(cli.root())} == before


def test_changed_settings_restart_the_server_and_keep_the_runs(cli: Cli, port: int) -> None:
    spec = cli.spec(f"name: churn\nserver:\n  port: {port}\n")
    cli.ok("up")
    run = client(cli, LOG_A_RUN)
    spec.write_text(spec.read_text() + "  threads: 3\n")
    assert cli.json("up")["changed"] is True
    assert client(cli, READ_A_RUN, run) == "naïve"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_comes_back_after_kill_9(cli: Cli, port: int, engine: str) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n")
    cli.ok("up")
    run = client(cli, LOG_A_RUN)
    for process in marked(cli.root()):
        if any("provision.server" in word for word in process.cmdline()):
            process.kill()
    eventually(lambda: answers(port))
    assert client(cli, READ_A_RUN, run) == "naïve"


@needs_postgres
def test_the_database_comes_back_after_kill_9(cli: Cli, port: int) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: postgres\n")
    cli.ok("up")
    run = client(cli, LOG_A_RUN)
    postmaster = int((cli.root() / "data/postgres/postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(postmaster))
    eventually(lambda: answers(port))
    assert client(cli, READ_A_RUN, run) == "naïve"


@pytest.mark.parametrize("engine", ENGINES)
def test_up_finds_everything_again_after_a_machine_restart(
    cli: Cli, port: int, engine: str
) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: {engine}\n")
    cli.ok("up")
    run = client(cli, LOG_A_RUN)
    for process in marked(cli.root()):  # a power cut: nobody gets a word in
        process.kill()
    eventually(lambda: not marked(cli.root()))
    assert cli.json("status")["state"] == "stopped"
    cli.ok("up")
    assert client(cli, READ_A_RUN, run) == "naïve"


def test_the_server_outlives_its_terminal(cli: Cli, port: int) -> None:
    """A hang-up reaches the whole session of a terminal that is closed."""
    cli.spec(f"server:\n  port: {port}\n")
    shell = subprocess.Popen(
        cli.command("up"), cwd=cli.folder, env=cli.env(), start_new_session=True
    )
    assert shell.wait(timeout=120) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGHUP)  # nobody of ours is left in that session
    assert answers(port)


def test_down_leaves_no_orphan_even_of_the_job_runner(cli: Cli, port: int) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\n  job_runner: true\n")
    cli.ok("up")
    eventually(lambda: len(marked(cli.root())) > 5)
    root = cli.root()
    supervisor = [p for p in marked(root) if "supervisor.supervisord" in p.cmdline()]
    supervisor[0].kill()  # now every other process is an orphan
    cli.ok("down")
    assert marked(root) == []


def test_a_taken_port_names_its_holder_and_the_next_free_one(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    program = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port}));"
        "print('on', flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        refused = cli.run("up")
        assert refused.returncode == 5
        assert f"port {port} is taken by" in refused.stderr
        assert str(holder.pid) in refused.stderr
        offered = refused.stderr.split("provision up --port ")[1].split(",")[0]
        assert cli.json("up", "--port", offered)["uri"].endswith(offered)
        holder.kill()


def test_two_ups_at_once_give_one_server(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    both = [
        subprocess.Popen(cli.command("up"), cwd=cli.folder, env=cli.env(), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=180)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert any("waiting for another provision command" in text for text in said)
    supervisors = [p for p in marked(cli.root()) if "supervisor.supervisord" in p.cmdline()]
    assert len(supervisors) == 1
    cli.ok("check")


def test_an_interrupted_up_leaves_nothing_running(cli: Cli, port: int) -> None:
    cli.spec(f"server:\n  port: {port}\n")
    started = subprocess.Popen(
        cli.command("up"), cwd=cli.folder, env=cli.env(), stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: bool(list(cli.folder.glob(".provision/*/stack.json"))))
    eventually(lambda: bool(marked(cli.root())))
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert "Traceback" not in said and "next step" in said
    assert marked(cli.root()) == []
    cli.ok("up")


def test_deleting_data_asks_and_names_what_goes(cli: Cli, port: int) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\n")
    cli.ok("up")
    client(cli, LOG_A_RUN)
    refused = cli.run("down", "--delete-data")
    assert refused.returncode == 4
    assert answers(port), "nothing may happen before the answer"
    deleted = cli.json("down", "--delete-data", "--yes")
    assert {item["what"] for item in deleted["deleted"]} >= {"database", "artifacts"}
    assert all(item["bytes"] > 0 for item in deleted["deleted"] if item["what"] == "database")
    assert not list(cli.folder.glob(".provision/*/stack.json"))
    assert cli.json("list")["stacks"] == []


@needs_postgres
def test_accounts_keep_strangers_out_and_secrets_stay_in_their_files(cli: Cli, port: int) -> None:
    cli.spec(
        f"name: churn\nserver:\n  port: {port}\n"
        "database:\n  engine: postgres\naccess:\n  auth: basic\n"
    )
    said = cli.ok("up")
    assert not answers(port), "without credentials the API must refuse"
    run = client(cli, LOG_A_RUN)
    assert client(cli, READ_A_RUN, run) == "naïve"
    root = cli.root()
    secrets = [
        p.read_text().strip() for p in (root / "secrets").iterdir() if p.name in SECRET_FILES
    ]
    assert len(secrets) == len(SECRET_FILES)
    said += cli.ok("status", "--json") + cli.ok("env") + cli.ok("check") + cli.logs()
    places = {"output and logs": said, "record": (root / "stack.json").read_text()}
    for process in marked(root):
        places[f"argv of {process.pid}"] = " ".join(process.cmdline())
        places[f"environment of {process.pid}"] = str(process.environ())
    for path in (root / "run").iterdir():
        places[str(path)] = path.read_text()
    found = [place for place, text in places.items() for secret in secrets if secret in text]
    assert found == []
    open_to_others = [p for p in root.rglob("secrets/*") if p.stat().st_mode & 0o077]
    assert open_to_others == []


SECRET_FILES = {"admin-password", "session-key", "database-password"}


@needs_postgres
def test_the_stack_lives_in_folders_with_hostile_names(cli: Cli, port: int) -> None:
    folder = cli.folder / "a b;c %(ENV_HOME)s 'q\" $HOME é #"
    folder.mkdir()
    hostile = Cli(folder)
    hostile.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: postgres\n")
    hostile.ok("up")
    run = client(hostile, LOG_A_RUN)
    assert client(hostile, READ_A_RUN, run) == "naïve"
    hostile.ok("down")


def test_runs_move_up_from_no_server_and_back(cli: Cli, port: int) -> None:
    """Rung 1 and rung 2 on the same spec: what was logged without a server is served by one."""
    spec = cli.spec("name: churn\nscenario: none\n")
    assert cli.json("up")["uri"].startswith("sqlite:////")
    run = client(cli, LOG_A_RUN)
    assert client(cli, READ_A_RUN, run) == "naïve"
    cli.ok("check")

    spec.write_text(f"name: churn\nscenario: server\nserver:\n  port: {port}\n")
    cli.ok("up")
    assert client(cli, READ_A_RUN, run) == "naïve"
    second = client(cli, LOG_A_RUN)

    spec.write_text("name: churn\nscenario: none\n")
    cli.ok("up")
    assert not answers(port)
    for each in (run, second):
        assert client(cli, READ_A_RUN, each) == "naïve"


def test_the_tracking_uri_survives_a_port_given_once(cli: Cli, port: int) -> None:
    cli.spec("name: churn\n")
    cli.ok("up", "--port", str(port))
    cli.ok("down")
    assert cli.json("up")["uri"].endswith(f":{port}")


@needs_postgres
def test_logs_show_the_server_and_its_database(cli: Cli, port: int) -> None:
    cli.spec(f"name: churn\nserver:\n  port: {port}\ndatabase:\n  engine: postgres\n")
    cli.ok("up")
    assert "gunicorn" in cli.ok("logs")
    assert "ready to accept connections" in cli.ok("logs", "database")
    unknown = cli.run("logs", "nonsense")
    assert unknown.returncode == 2 and "server, database" in unknown.stderr
    follower = subprocess.Popen(
        cli.command("logs", "--follow", "-n", "0"), cwd=cli.folder, env=cli.env(),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with (cli.root() / "logs/server.log").open("a") as log:
        time.sleep(1)
        log.write("a line that comes later\n")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "a line that comes later\n"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=30) == 130
