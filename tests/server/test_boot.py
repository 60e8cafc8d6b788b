"""Starting, failing to start, dying and coming back."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import psutil
import pytest

from provision.server.failures import EXIT_FINAL, EXIT_TEMPORARY
from tests.server.running import (
    ADMIN,
    SEARCH,
    Server,
    auth_for,
    create,
    database_with_data,
    end,
    execute,
    failure_of,
    launch,
    names,
    serving,
    settings_for,
    stop,
)  # fmt: skip

pytestmark = pytest.mark.slow


def test_the_boot_report_tells_each_phase_and_ready_means_answered(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        assert server.call("GET", SEARCH).status == 200
        report = server.report()
    assert report["schema"] == "provision.boot/1"
    assert [phase["name"] for phase in report["phases"]] == ["import", "database", "auth", "serve"]
    assert {phase["outcome"] for phase in report["phases"]} == {"ok"}
    assert report["error"] is None


def test_a_term_signal_stops_it_with_code_zero_and_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path, workers=2)) as server:
        family = server.family()
        assert stop(server) == 0
        assert not [process for process in family if process.is_running()]


def test_sqlite_is_in_wal_mode_and_fully_synchronous(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    assert execute(path, "PRAGMA journal_mode") == [("wal",)]


def test_no_table_is_missing_and_no_part_is_left_after_the_first_start(tmp_path: Path) -> None:
    path = database_with_data(tmp_path)
    assert not list(tmp_path.glob("mlflow.db.new*"))
    with serving(tmp_path, settings_for(tmp_path)) as server:
        assert names(server) == {"Default", "kept"}
    assert path.exists()


def test_files_are_closed_to_other_users(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, auth=auth_for(tmp_path))
    with serving(tmp_path, settings):
        modes = {
            name: (tmp_path / name).stat().st_mode & 0o077
            for name in ("mlflow.db", "auth.db", "auth.ini", "settings.json", "boot.json")
        }
    assert modes == dict.fromkeys(modes, 0)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_master_takes_its_workers_along_and_frees_the_port(
    tmp_path: Path, workers: int
) -> None:
    settings = settings_for(tmp_path, workers=workers)
    with serving(tmp_path, settings) as server:
        create(server, "before the kill")
        while (
            len(family := server.family()) < workers
        ):  # the first may answer before the last forks
            time.sleep(0.1)
        server.process.kill()
        server.process.wait()
        psutil.wait_procs(family, timeout=30)
        assert not [process for process in family if process.is_running()]
    with serving(tmp_path, settings) as again:
        assert "before the kill" in names(again)


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path)) as server:
        (worker,) = server.family()
        worker.kill()
        while not [p for p in server.family() if p.pid != worker.pid]:
            time.sleep(0.1)
        assert server.call("GET", SEARCH).status == 200


def test_a_kill_during_the_first_initialisation_leaves_a_database_that_starts(
    tmp_path: Path,
) -> None:
    server = launch(tmp_path, settings_for(tmp_path))
    while not list(tmp_path.glob("mlflow.db*")):
        time.sleep(0.005)
    end(server.process)
    with serving(tmp_path, settings_for(tmp_path)) as again:
        assert names(again) == {"Default"}


def test_the_job_runner_runs_and_ends_with_a_killed_master(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path, job_runner=True)) as server:
        while not [p for p in _with_session(server) if "huey" in " ".join(p.cmdline())]:
            time.sleep(0.2)
        family = server.family()
        server.process.kill()
        server.process.wait()
        gone, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, [process.cmdline() for process in alive]
        assert len(gone) > 2


def _with_session(server: Server) -> list[psutil.Process]:
    found = []
    for process in server.family():
        try:
            process.cmdline()
            found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_job_runner_ends_with_a_stopped_master(tmp_path: Path) -> None:
    with serving(tmp_path, settings_for(tmp_path, job_runner=True)) as server:
        while len(server.family()) < 4:
            time.sleep(0.2)
        family = server.family()
        assert stop(server) == 0
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive


def test_secrets_are_in_no_environment_and_no_argument(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, auth=auth_for(tmp_path), job_runner=True)
    with serving(tmp_path, settings) as server:
        while len(server.family()) < 4:
            time.sleep(0.2)
        for process in [psutil.Process(server.process.pid), *_with_session(server)]:
            text = json.dumps(process.environ()) + " ".join(process.cmdline())
            assert ADMIN[1] not in text
            assert "a key for tests" not in text
        assert ADMIN[1] not in server.log.read_text() + (tmp_path / "auth.ini").read_text()


def test_an_ambient_variable_cannot_switch_the_checks_off(tmp_path: Path) -> None:
    ambient = {
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    }
    with serving(tmp_path, settings_for(tmp_path), environment=ambient) as server:
        assert server.call("GET", SEARCH, headers={"Host": "evil.example"}).status == 403


def test_only_the_allowed_hosts_are_answered(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, allowed_hosts=("mlflow.example:8443",))
    with serving(tmp_path, settings) as server:
        assert server.call("GET", SEARCH, headers={"Host": "mlflow.example:8443"}).status == 200
        assert server.call("GET", SEARCH, headers={"Host": "mlflow.example"}).status == 403
        assert server.call("GET", SEARCH).status == 403


def test_an_allowed_origin_may_post(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, allowed_origins=("https://ui.example",))
    path, body = "/api/2.0/mlflow/experiments/create", {"name": "from the page"}
    with serving(tmp_path, settings) as server:
        headers = {"Origin": "https://ui.example"}
        assert server.call("POST", path, body, headers=headers).status == 200
        headers = {"Origin": "https://other.example"}
        assert server.call("POST", path, {"name": "x"}, headers=headers).status == 403


def test_a_taken_port_is_named_and_may_be_tried_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with socket.create_server(("127.0.0.1", settings.port)):
        code, error = failure_of(tmp_path, settings)
    assert (code, error["code"]) == (EXIT_TEMPORARY, "port-taken")


def test_an_address_of_another_machine_is_final(tmp_path: Path) -> None:
    code, error = failure_of(tmp_path, settings_for(tmp_path, host="192.0.2.1"))
    assert (code, error["code"]) == (EXIT_FINAL, "address-invalid")


def test_a_short_admin_password_is_refused(tmp_path: Path) -> None:
    auth = auth_for(tmp_path)
    Path(auth.admin_password_file).write_text("short")
    code, error = failure_of(tmp_path, settings_for(tmp_path, auth=auth))
    assert (code, error["code"]) == (EXIT_FINAL, "auth-failed")
