from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.app.check import Looks, check
from provision.app.check_doors import Door
from provision.model.endpoint import Credentials, Endpoint
from provision.model.findings import SERVER_LAYERS
from provision.model.report import Finding, Outcome, Report
from provision.model.tracking import Answer, ErrorKind, TrackingError
from tests.memory_server import MemoryServer

ENDPOINT = Endpoint("team", "http://mlflow.lab.example:5000", "3.17.2")
HOST_REFUSED = b"Invalid Host header - possible DNS rebinding attack detected"
NOT_AUTHENTICATED = b"You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth"

EXTRA = ("large-artifact", "outside")


def failure(status: int = 500, body: str = "boom") -> TrackingError:
    return TrackingError(ErrorKind.STATUS, f"HTTP {status}: {body}", status=status, body=body)


def check_memory(
    server: MemoryServer, endpoint: Endpoint = ENDPOINT, client: str | None = "3.17.2", **more: Any
) -> Report:
    ticks = itertools.count()
    on_layer = more.pop("on_layer", lambda _: None)
    looks = Looks(client, **more)
    return check(endpoint, lambda _: server, lambda: next(ticks) / 1000, looks, on_layer=on_layer)


def outcomes(report: Report) -> dict[str, Outcome]:
    return {finding.id: finding.outcome for finding in report.findings}


def test_a_good_server_passes_every_layer_and_keeps_nothing() -> None:
    server = MemoryServer()
    report = check_memory(server)
    expected = [layer.name for layer in SERVER_LAYERS if layer.name not in ("tls", *EXTRA)]
    assert [finding.id for finding in report.findings] == expected
    assert report.passed
    assert server.existing == {} == server.files
    assert server.calls[-1] == "close"


def test_tls_is_looked_at_between_tcp_and_http_for_https_only() -> None:
    endpoint = Endpoint("team", "https://mlflow.lab.example", "3.17.2")
    ids = [finding.id for finding in check_memory(MemoryServer(), endpoint).findings]
    assert ids == [layer.name for layer in SERVER_LAYERS if layer.name not in EXTRA]


METHODS = {
    "resolve": "dns",
    "open": "tcp",
    "probe": "http",
    "create_experiment": "experiment",
    "create_run": "run",
    "log_batch": "run",
    "get_run": "run",
    "upload": "artifact-upload",
    "list_artifacts": "artifact-download",
    "download": "artifact-download",
    "create_registered_model": "registry",
    "create_model_version": "registry",
    "set_alias": "registry",
    "version_by_alias": "registry",
}


@pytest.mark.parametrize(("method", "layer"), METHODS.items())
def test_the_layer_that_fails_is_named_and_the_later_ones_are_not_reached(
    method: str, layer: str
) -> None:
    server = MemoryServer(**{method: failure()})
    report = check_memory(server)
    broken = report.first_failure
    assert broken is not None
    assert broken.title == next(entry.title for entry in SERVER_LAYERS if entry.name == layer)
    names = [entry.name for entry in SERVER_LAYERS if entry.name not in ("tls", *EXTRA)]
    later = names[names.index(layer) + 1 : -1]
    assert [f.id for f in report.findings if f.outcome is Outcome.NOT_REACHED][
        : len(later)
    ] == later
    assert server.existing == {} == server.files


@pytest.mark.parametrize("method", METHODS)
def test_what_was_created_is_deleted_when_the_user_interrupts(method: str) -> None:
    server = MemoryServer(**{method: KeyboardInterrupt()})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        check_memory(server)
    assert server.existing == {} == server.files
    assert server.calls[-1] == "close"


def test_what_cannot_be_deleted_is_named() -> None:
    server = MemoryServer(delete_artifact=failure(500, "AccessDenied"))
    report = check_memory(server)
    broken = report.first_failure
    assert broken is not None
    assert broken.id == "cleanup.left-behind"
    assert "artifacts below 1/r1" in broken.observed
    assert "AccessDenied" in broken.observed
    assert "1/r1/artifacts/provision-check.bin" in server.files


def test_a_value_that_comes_back_rounded_is_found() -> None:
    server = MemoryServer()
    server.round_metrics = True
    broken = check_memory(server).first_failure
    assert broken is not None
    assert broken.id == "run.differs"
    assert "0.30000000000000004" in broken.observed
    assert "0.3," in broken.observed


def test_an_artifact_that_comes_back_cut_is_found() -> None:
    server = MemoryServer()
    server.cut_downloads_at = 1000
    broken = check_memory(server).first_failure
    assert broken is not None
    assert broken.id == "artifact-download.differs"
    assert "got 1000" in broken.observed


def test_an_artifact_root_of_the_clients_own_is_not_written_to() -> None:
    server = MemoryServer()
    server.artifact_root = "s3://bucket/1/r1/artifacts"
    broken = check_memory(server).first_failure
    assert broken is not None
    assert broken.id == "artifact-upload.cloud-root"
    assert "AWS" in broken.cause
    assert "upload" not in server.calls


def test_another_minor_version_warns_and_goes_on() -> None:
    report = check_memory(MemoryServer(), client="2.22.1")
    assert report.passed
    assert outcomes(report)["version.differs"] is Outcome.WARNING
    finding = next(f for f in report.findings if f.id == "version.differs")
    assert 'pip install "mlflow==3.17.2"' in finding.next_step


def test_a_proxy_in_the_clients_way_warns() -> None:
    report = check_memory(MemoryServer(), environment={"HTTP_PROXY": "http://proxy:3128"})
    assert report.passed
    finding = next(f for f in report.findings if f.id == "tcp.proxy")
    assert finding.outcome is Outcome.WARNING
    assert "NO_PROXY=mlflow.lab.example" in finding.next_step


def test_a_refused_host_name_comes_with_the_line_for_the_spec() -> None:
    server = MemoryServer()
    server.answer = Answer(403, {}, HOST_REFUSED)
    broken = check_memory(server).first_failure
    assert broken is not None
    assert broken.id == "host.not-allowed"
    assert 'allowed_hosts: ["mlflow.lab.example:5000"]' in broken.next_step


def test_findings_are_told_as_they_come_and_timed_by_the_given_clock() -> None:
    seen: list[Finding] = []
    report = check_memory(MemoryServer(), on_layer=seen.append)
    assert seen == list(report.findings)
    assert {round(finding.milliseconds) for finding in seen} == {1}


def test_forbidden_registration_is_not_blamed_on_the_server() -> None:
    server = MemoryServer(create_registered_model=failure(403, "Permission denied"))
    assert "registry.forbidden" in outcomes(check_memory(server))


def test_a_report_can_be_written_as_json_without_the_password(tmp_path: Path) -> None:
    account = Credentials("ann", tmp_path / "password")
    server = MemoryServer()
    server.answer = Answer(401, {}, NOT_AUTHENTICATED)
    report = check_memory(server, Endpoint("t", "http://h:1", "3.17.2", account))
    text = json.dumps([vars(finding) for finding in report.findings])
    assert "auth.wrong" in text
    assert str(account.password_file) in text


# Who else gets in.

HERE, INSIDE, OUTSIDE = ("127.0.0.1",), ("192.168.7.7",), ("8.8.8.8",)
ACCOUNT = Credentials("ann", Path("/unused"))


@pytest.mark.parametrize(
    ("addresses", "strangers", "account", "expected"),
    [
        (HERE, {"": b"{}"}, None, "accounts"),
        (("::1", "127.0.0.1"), {"": b"{}"}, None, "accounts"),
        (INSIDE, {"": b"{}"}, None, "accounts.open-to-the-network"),
        (("8.8.8.8", "192.168.7.7"), {"": b"{}"}, None, "accounts.open-to-the-world"),
        (OUTSIDE, {}, None, "accounts"),
        (OUTSIDE, {}, ACCOUNT, "accounts"),
        (HERE, {"": b"{}"}, ACCOUNT, "accounts.ignored"),
        (HERE, {"admin:password1234": b"{}"}, ACCOUNT, "accounts.default-password"),
        (HERE, {"admin:password": b"{}"}, ACCOUNT, "accounts.default-password"),
        (HERE, {"/signup": b"<html><FORM action=x>"}, ACCOUNT, "accounts.sign-up-open"),
        (HERE, {"/signup": b"<html>MLflow's own page"}, ACCOUNT, "accounts"),
    ],
)
def test_strangers_known_passwords_and_sign_ups_are_tried(
    addresses: tuple[str, ...],
    strangers: dict[str, bytes],
    account: Credentials | None,
    expected: str,
) -> None:
    server = MemoryServer()
    server.addresses, server.strangers = addresses, strangers
    report = check_memory(server, replace(ENDPOINT, credentials=account))
    assert expected in outcomes(report)
    assert report.passed == (expected in ("accounts", "accounts.open-to-the-network"))


def test_only_doors_that_open_are_named_and_the_first_says_what_is_wrong() -> None:
    database = Door("the database", "db.example", 5432, "outside.database-open")
    shell = Door("SSH", "h.example", 22, "outside.port-open")

    def looked(*opened: Door) -> Report:
        def try_door(door: Door) -> str:
            return "accepts connections" if door in opened else ""

        return check_memory(MemoryServer(), closed=[database, shell], try_door=try_door)

    assert outcomes(looked())["outside"] is Outcome.OK
    assert outcomes(looked(shell))["outside.port-open"] is Outcome.WARNING
    broken = looked(shell, database).first_failure
    assert broken is not None
    assert broken.observed.startswith("the database: ")
    assert outcomes(looked(database))["outside.database-open"] is Outcome.FAILED


# Artifacts and models.


def test_experiments_that_keep_their_artifacts_elsewhere_are_named() -> None:
    server = MemoryServer()
    server.experiments = [
        {"name": "Default", "artifact_location": "./mlruns/0"},
        {"name": "new", "artifact_location": "mlflow-artifacts:/1"},
    ]
    finding = next(f for f in check_memory(server).findings if f.id == "artifact-root.frozen")
    assert finding.outcome is Outcome.WARNING
    assert finding.observed == "Default (./mlruns/0)"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "large-artifact"),
        (failure(413), "large-artifact.too-large"),
        (failure(504), "large-artifact.timed-out"),
        (TrackingError(ErrorKind.CLOSED, "gone"), "large-artifact.timed-out"),
        (TrackingError(ErrorKind.SILENT, "mute"), "large-artifact.timed-out"),
        (failure(507), "large-artifact.disk-full"),
        (failure(500, "[Errno 28] No space left on device"), "large-artifact.disk-full"),
        (failure(500), "large-artifact.failed"),
    ],
)
def test_a_large_artifact_is_sent_only_when_asked_for(
    error: TrackingError | None, expected: str
) -> None:
    server = MemoryServer(**({"upload_stream": error} if error else {}))
    report = check_memory(server, large=3 * 2**20 + 17)
    assert expected in outcomes(report)
    assert server.files == {}


def test_a_model_whose_files_are_elsewhere_or_others_is_not_taken_as_loaded() -> None:
    server = MemoryServer()
    server.artifact_root_of_models = "s3://bucket/1"
    assert "model-load.elsewhere" in outcomes(check_memory(server))


def test_a_full_disk_behind_a_written_run_is_named_as_such() -> None:
    full = failure(500, "(sqlite3.OperationalError) database or disk is full")
    assert "http.disk-full" in outcomes(check_memory(MemoryServer(log_batch=full)))
    full = failure(500, "[Errno 28] No space left on device")
    assert "artifact-upload.disk-full" in outcomes(check_memory(MemoryServer(upload=full)))


@pytest.mark.parametrize(
    ("status", "said", "problem"),
    [
        (403, "the server's role is not authorized to perform: s3:PutObject in", "store-denied"),
        (503, "the server does not reach its artifact store: no answer", "store-gone"),
    ],
)
def test_what_the_servers_store_refuses_is_not_called_a_users_fault(
    status: int, said: str, problem: str
) -> None:
    refused = failure(status, said)
    assert f"http.{problem}" in outcomes(check_memory(MemoryServer(upload=refused)))
