"""`from provision import Stack`, and the pytest fixture that comes with the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import psutil
import pytest

from provision import Stack
from provision.adapters.processes import any_free_port, holder_of, marked
from provision.errors import CheckFailedError, MissingError, ProvisionError, SpecError
from provision.model.status import State
from tests.conftest import Cli

pytestmark = pytest.mark.slow


@pytest.fixture
def home(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of our own: the list of stacks lives there."""
    folder = open_folder.parent / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return folder


@pytest.fixture
def spec(open_folder: Path, port: int, home: Path) -> Path:
    path = open_folder / "provision.yaml"
    path.write_text(f"name: churn\nserver:\n  port: {port}\n  workers: 1\n")
    return path


@pytest.fixture
def stack(spec: Path) -> Iterator[Stack]:
    loaded = Stack.load(spec)
    yield loaded
    loaded.down()


def root_of(spec: Path) -> Path:
    return spec.parent / ".provision/churn"


def log_a_run(uri: str) -> str:
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment(f"e{os.urandom(4).hex()}")
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "auc", 0.81)
    client.log_text(run, "text", "note.txt")
    return str(run)


def test_a_block_starts_the_server_and_stops_it_and_the_runs_stay(
    stack: Stack, spec: Path, port: int
) -> None:
    assert stack.name == "churn"
    assert stack.status().state is State.NEVER_STARTED
    with stack.up() as endpoint:
        assert endpoint.uri == f"http://127.0.0.1:{port}"
        run = log_a_run(endpoint.uri)
        assert stack.status().state is State.RUNNING
        report = stack.check()
        assert report.passed and report.uri == endpoint.uri
    assert stack.status().state is State.STOPPED
    assert marked(root_of(spec)) == []
    with Stack.load(spec).up() as endpoint:
        assert mlflow.MlflowClient(endpoint.uri).get_run(run).data.metrics == {"auc": 0.81}


def test_a_server_that_ran_before_keeps_running_after_the_block(stack: Stack, spec: Path) -> None:
    before = stack.up()
    assert before.started_here
    processes = {process.pid for process in marked(root_of(spec))}
    again = Stack.load(spec).up()
    assert not again.started_here
    with again as endpoint:
        assert endpoint == before.endpoint
    assert {process.pid for process in marked(root_of(spec))} == processes
    assert stack.check().passed


def test_an_error_in_the_block_passes_through_and_the_server_stops(
    stack: Stack, spec: Path
) -> None:
    with pytest.raises(ZeroDivisionError), stack.up():
        raise ZeroDivisionError
    assert marked(root_of(spec)) == []


def test_the_port_can_be_given_and_the_data_deleted(stack: Stack, spec: Path) -> None:
    port = any_free_port("127.0.0.1")
    running = stack.up(port=port)
    assert running.endpoint.uri.endswith(f":{port}")
    log_a_run(running.endpoint.uri)
    result = stack.down(delete_data=True)
    assert result.stopped_processes > 0
    assert {"database", "artifacts"} <= {holding.what for holding in result.deleted}
    assert not root_of(spec).exists()
    assert stack.status().state is State.NEVER_STARTED


def test_a_stack_can_keep_its_state_elsewhere(spec: Path, open_folder: Path) -> None:
    elsewhere = open_folder / "state"
    stack = Stack.load(spec, state_dir=elsewhere)
    with stack.up():
        assert marked(elsewhere / "churn")
    assert not root_of(spec).exists()


def test_nothing_is_printed(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    with stack.up():
        stack.status()
        stack.check()
    assert capfd.readouterr() == ("", "")


def test_errors_say_the_next_step(spec: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError) as never_started:
        Stack.load(spec).check()
    spec.write_text("nmae: x\n")
    with pytest.raises(SpecError) as wrong:
        Stack.load(spec)
    with pytest.raises(ProvisionError) as missing:
        Stack.load(spec.parent / "other.yaml")
    for error in (never_started, wrong, missing):
        assert error.value.message and error.value.next_step
    assert wrong.value.problems[0].line == 1
    assert issubclass(CheckFailedError, ProvisionError)


def test_a_taken_port_is_an_error_with_a_next_step(stack: Stack, port: int) -> None:
    program = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port}));"
        "print('on', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(MissingError, match=str(port)) as taken:
            stack.up()
        holder.kill()
    assert "--port" in taken.value.next_step


USERS_TEST = """
import json, os
from pathlib import Path
import mlflow
import pytest

def note(endpoint):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    Path(os.environ["NOTES"], worker).write_text(endpoint.uri)

@pytest.mark.parametrize("number", range(4))
def test_training_logs_a_run(mlflow_server, number):
    note(mlflow_server)
    mlflow.set_tracking_uri(mlflow_server.uri)
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.5)
    assert mlflow.get_run(run.info.run_id).data.metrics == {"auc": 0.5}

def test_that_uses_no_server():
    pass
"""


@pytest.fixture
def users_project(open_folder: Path, home: Path) -> Path:
    """Somebody's tests, in a folder that knows nothing of ours."""
    (open_folder / "test_training.py").write_text(USERS_TEST)
    (open_folder / "notes").mkdir()
    return open_folder


def run_users_tests(project: Path, *flags: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "NOTES": str(project / "notes"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    basetemp = project / "temporary"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--basetemp={basetemp}", *flags],
        cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def marks_of_processes_below(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("PROVISION_STACK", "")
        except (psutil.Error, OSError):
            continue
        if mark.startswith(str(folder)):
            found.append(mark)
    return found


def nothing_is_left_of(project: Path, uris: list[str]) -> None:
    assert marks_of_processes_below(project) == []
    assert [uri for uri in uris if holder_of("127.0.0.1", int(uri.rpartition(":")[2]))] == []
    assert list(project.rglob("stack.json")) == []
    assert list(project.rglob("mlflow.db")) == []
    assert json.loads(Cli(project).ok("list", "--json"))["stacks"] == []


def test_the_pytest_fixture_gives_a_server_and_leaves_nothing(users_project: Path) -> None:
    assert "5 passed" in run_users_tests(users_project, "-p", "no:xdist")
    (uri,) = (note.read_text() for note in (users_project / "notes").iterdir())
    nothing_is_left_of(users_project, [uri])


def test_two_workers_at_once_get_two_servers(users_project: Path) -> None:
    assert "5 passed" in run_users_tests(users_project, "-n", "2", "--dist", "load")
    uris = [note.read_text() for note in (users_project / "notes").iterdir()]
    assert len(uris) == len(set(uris)) == 2
    nothing_is_left_of(users_project, uris)


def test_without_the_fixture_no_server_is_started(users_project: Path) -> None:
    assert "1 passed" in run_users_tests(users_project, "-k", "uses_no_server")
    assert list((users_project / "temporary").rglob("provision*")) == []


LEAVES_A_RUN_OPEN = """
import mlflow

def test_training(mlflow_server):
    mlflow.set_tracking_uri(mlflow_server.uri)
    mlflow.log_metric("auc", 0.8)
"""


def test_a_run_left_open_is_ended_before_its_server_stops(open_folder: Path) -> None:
    """MLflow's exit handler would otherwise try to reach the stopped server for minutes."""
    (open_folder / "test_open.py").write_text(LEAVES_A_RUN_OPEN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_open.py"]
    environment = {**os.environ, "HOME": str(open_folder), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}
    done = subprocess.run(
        command, cwd=open_folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Retrying" not in done.stderr
