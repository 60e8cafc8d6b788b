from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError
from werkzeug.security import generate_password_hash

from provision.adapters.local_store import LocalFiles
from provision.adapters.tracking import TrackingClient
from provision.app.check import Looks, check
from provision.app.check_local import check_local
from provision.app.env import env
from provision.model.clients import sqlite_uri
from provision.model.endpoint import Credentials, Endpoint
from provision.model.findings import SERVER_LAYERS
from provision.model.report import Finding, Outcome, Report
from tests.certificates import Authority
from tests.mlflow_servers import free_port, mlflow_server
from tests.relay import Rules, relaying

pytestmark = pytest.mark.slow

MLFLOW = version("mlflow")
EXTRA = ("large-artifact", "outside")
PASSWORD = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def named_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server that takes the name localhost, and not the address 127.0.0.1."""
    folder = tmp_path_factory.mktemp("plain")
    with mlflow_server(folder, "--allowed-hosts", "localhost,localhost:*") as uri:
        yield Endpoint("team", uri.replace("127.0.0.1", "localhost"), MLFLOW)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server with basic auth, as MLflow has it; the endpoint has its administrator's password."""
    folder = tmp_path_factory.mktemp("auth")
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/users.db\nadmin_username = teacher\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    password_file = folder / "password"
    password_file.write_text(PASSWORD + "\n")
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-tests-0123456789",
    }
    with mlflow_server(folder, "--app-name", "basic-auth", environment=environment) as uri:
        yield Endpoint("team", uri, MLFLOW, Credentials("teacher", password_file))


@pytest.fixture(scope="module")
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Path]]:
    """A server whose runs keep their artifacts in a folder that it does not serve."""
    folder = tmp_path_factory.mktemp("root")
    root = folder / "artifacts"
    with mlflow_server(folder, "--no-serve-artifacts", "--default-artifact-root", str(root)) as uri:
        yield Endpoint("team", uri, MLFLOW), root


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server with a certificate of a private CA."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    files = authority.issue("127.0.0.1")
    options = f"--ssl-keyfile {files.key} --ssl-certfile {files.certificate}"
    with mlflow_server(
        folder, "--uvicorn-opts", options, scheme="https", ca_file=authority.ca_file
    ) as uri:
        yield Endpoint("team", uri, MLFLOW, ca_file=authority.ca_file)


def look(endpoint: Endpoint, timeout: float = 60) -> Report:
    return check(
        endpoint,
        lambda target: TrackingClient.from_endpoint(target, timeout),
        time.perf_counter,
        Looks(MLFLOW),
    )


def broken(endpoint: Endpoint, timeout: float = 60) -> Finding:
    report = look(endpoint, timeout)
    finding = report.first_failure
    assert finding is not None
    place = list(report.findings).index(finding)
    behind = [entry.outcome for entry in report.findings[place + 1 : -1]]
    assert set(behind) <= {Outcome.NOT_REACHED}
    return finding


def test_a_good_server_passes_every_layer(named_only: Endpoint) -> None:
    report = look(named_only)
    names = [layer.name for layer in SERVER_LAYERS if layer.name not in ("tls", *EXTRA)]
    assert [(f.id, f.outcome) for f in report.findings] == [(name, Outcome.OK) for name in names]


def test_a_check_leaves_nothing_that_shows(named_only: Endpoint) -> None:
    from mlflow import MlflowClient

    assert look(named_only).passed
    client = MlflowClient(named_only.uri)
    assert [entry.name for entry in client.search_experiments()] == ["Default"]
    assert client.search_registered_models() == []


def test_checks_at_the_same_time_do_not_disturb_each_other(named_only: Endpoint) -> None:
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda: reports.append(look(named_only))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.first_failure for report in reports] == [None] * 4


def test_a_name_that_the_server_refuses_is_found_behind_its_green_health(
    named_only: Endpoint,
) -> None:
    by_address = replace(named_only, uri=named_only.uri.replace("localhost", "127.0.0.1"))
    with TrackingClient(by_address) as client:
        assert client.version() == MLFLOW
    finding = broken(by_address)
    assert finding.id == "host.not-allowed"
    assert by_address.uri.removeprefix("http://") in finding.cause
    assert f'allowed_hosts: ["{by_address.uri.removeprefix("http://")}"]' in finding.next_step


def test_missing_credentials_are_found(guarded: Endpoint) -> None:
    assert broken(replace(guarded, credentials=None)).id == "auth.missing"


def test_a_wrong_password_is_found(guarded: Endpoint, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not-the-password")
    finding = broken(replace(guarded, credentials=Credentials("teacher", wrong)))
    assert finding.id == "auth.wrong"
    assert "`teacher`" in finding.cause
    assert "not-the-password" not in repr(finding)


def test_the_right_password_passes_every_layer(guarded: Endpoint) -> None:
    assert look(guarded).first_failure is None


def call(endpoint: Endpoint, method: str, route: str, body: dict[str, object]) -> None:
    with TrackingClient.from_endpoint(endpoint) as client:
        client.ask(method, f"/api/2.0/mlflow/users/{route}", json.dumps(body).encode(), JSON)


def test_an_old_password_that_everybody_knows_is_found_until_it_is_changed(
    guarded: Endpoint,
) -> None:
    """Of today's servers only an administrator's `password1234` is refused: an account from before
    MLflow 2.5 still has `password`, and one that is no administrator any more gets in with either.
    """
    assert guarded.credentials is not None
    users = guarded.credentials.password_file.parent / "users.db"
    with contextlib.closing(sqlite3.connect(users)) as database:
        database.execute(
            "INSERT INTO users (username, password_hash, is_admin) VALUES ('admin', ?, 1)",
            (generate_password_hash("password"),),
        )
        database.commit()
    new = {"username": "admin", "password": "password1234"}
    try:
        assert broken(guarded).id == "accounts.default-password"
        call(guarded, "PATCH", "update-password", new)
        call(guarded, "PATCH", "update-admin", {"username": "admin", "is_admin": False})
        assert broken(guarded).id == "accounts.default-password"
        call(guarded, "PATCH", "update-password", {**new, "password": "known-to-nobody-else"})
        assert look(guarded).passed, "as the printed next step has it"
    finally:
        call(guarded, "DELETE", "delete", {"username": "admin"})


def test_a_sign_up_that_a_proxy_opens_to_strangers_is_found(guarded: Endpoint) -> None:
    """MLflow's own form is for administrators; a proxy that knows a password lets everybody in."""
    known = base64.b64encode(f"teacher:{PASSWORD}".encode())
    rules = Rules(header=b"Authorization: Basic " + known, wanted=lambda line: b" /signup" in line)
    with relaying(guarded.uri, rules) as proxy:
        open_to_all = replace(guarded, uri=f"http://127.0.0.1:{proxy.port}")
        assert broken(open_to_all).id == "accounts.sign-up-open"


def test_a_frozen_artifact_root_is_found_and_not_written_to(
    own_root: tuple[Endpoint, Path],
) -> None:
    endpoint, root = own_root
    finding = broken(endpoint)
    assert finding.id == "artifact-upload.local-root"
    assert str(root) in finding.observed
    assert not list(root.rglob("provision-check*"))


def test_a_root_that_only_keys_of_the_cloud_open_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stops MLflow's own client with `NoCredentialsError`, as on a student's laptop."""
    from mlflow import MlflowClient

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    root = ("--no-serve-artifacts", "--default-artifact-root", "s3://team-artifacts/mlflow")
    with mlflow_server(tmp_path, *root) as uri:
        finding = broken(Endpoint("team", uri, MLFLOW))
        client = MlflowClient(uri)
        with pytest.raises(NoCredentialsError):
            client.log_text(client.create_run("0").info.run_id, "hello", "note.txt")
    assert finding.id == "artifact-upload.cloud-root"
    assert "s3://team-artifacts/mlflow" in finding.observed


def test_a_private_ca_passes_every_layer(encrypted: Endpoint) -> None:
    report = look(encrypted)
    names = [layer.name for layer in SERVER_LAYERS if layer.name not in EXTRA]
    assert [f.id for f in report.findings] == names
    assert report.passed


def test_the_wrong_ca_is_found(encrypted: Endpoint, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Other CA")
    assert broken(replace(encrypted, ca_file=other.ca_file)).id == "tls.unknown-ca"


def test_http_to_an_https_port_is_found(encrypted: Endpoint) -> None:
    plain = replace(encrypted, uri=encrypted.uri.replace("https:", "http:"), ca_file=None)
    assert broken(plain).id in ("http.closed", "http.speaks-tls")


def test_https_to_an_http_port_is_found(named_only: Endpoint) -> None:
    secured = replace(named_only, uri=named_only.uri.replace("http:", "https:"))
    assert broken(secured).id == "tls.not-tls"


def test_a_stopped_server_is_found() -> None:
    finding = broken(Endpoint("team", f"http://127.0.0.1:{free_port()}", MLFLOW))
    assert finding.id == "tcp.refused"
    assert "provision up" in finding.next_step


def test_a_server_that_hangs_is_found(tmp_path: Path) -> None:
    import socket

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"http://127.0.0.1:{mute.getsockname()[1]}"
        assert broken(Endpoint("team", uri, MLFLOW), timeout=0.5).id == "http.silent"


def test_another_program_on_the_port_is_found_and_named() -> None:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
    ) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        finding = broken(Endpoint("team", f"http://127.0.0.1:{other.server_port}", MLFLOW))
        other.shutdown()
    assert finding.id == "http.not-mlflow"
    assert "SimpleHTTP" in finding.observed


def test_a_server_that_dies_under_the_check_is_reported_with_what_it_keeps(tmp_path: Path) -> None:
    with ExitStack() as running:
        uri = running.enter_context(mlflow_server(tmp_path))

        def kill_after_experiment(finding: Finding) -> None:
            if finding.id == "experiment":
                running.close()

        report = check(
            Endpoint("team", uri, MLFLOW),
            TrackingClient.from_endpoint,
            time.perf_counter,
            Looks(MLFLOW),
            on_layer=kill_after_experiment,
        )
    assert report.first_failure is not None
    assert report.first_failure.id == "run.failed"
    assert report.findings[-1].id == "cleanup.left-behind"
    assert "experiment 1" in report.findings[-1].observed


TRAINING = """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("hello", "note.txt")
print(mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
"""


@pytest.mark.parametrize("name", ["plain", "it's 50%41 of ü 模 $HOME"])
def test_without_a_server_clients_in_any_folder_share_database_and_artifacts(
    tmp_path: Path, name: str
) -> None:
    data, elsewhere = tmp_path / name, tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    endpoint = Endpoint(
        "solo", sqlite_uri(data / "mlflow.db"), MLFLOW, artifact_root=data / "artifacts"
    )
    script = f"{env(endpoint, 'bash')}exec '{sys.executable}' -c \"$TRAINING\""
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=elsewhere,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TRAINING": TRAINING},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "hello\n"
    assert [file.read_text() for file in (data / "artifacts").rglob("note.txt")] == ["hello"]
    assert list(elsewhere.iterdir()) == []
    report = check_local(endpoint, LocalFiles(), time.perf_counter)
    assert [(f.id, f.outcome) for f in report.findings] == [
        ("database", Outcome.OK),
        ("artifact-folder", Outcome.OK),
    ]


def test_the_printed_variables_make_mlflows_own_client_work(
    guarded: Endpoint, encrypted: Endpoint, tmp_path: Path
) -> None:
    stale = {"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9"}
    for endpoint in (guarded, encrypted):
        run = subprocess.run(
            ["bash", "-c", f"{env(endpoint, 'bash')}exec '{sys.executable}' -c \"$TRAINING\""],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TRAINING": TRAINING, **stale},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "hello" in run.stdout.splitlines()
