from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from provision.app.check import check
from provision.model.endpoint import Credentials, Endpoint
from provision.model.findings import SERVER_LAYERS
from provision.model.report import Finding, Outcome, Report
from provision.model.tracking import Answer, ErrorKind, TrackingError
from tests.memory_server import MemoryServer

ENDPOINT = Endpoint("team", "http://mlflow.lab.example:5000", "3.17.2")
HOST_REFUSED = b"Invalid Host header - possible DNS rebinding attack detected"
NOT_AUTHENTICATED = b"You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth"


def failure(status: int = 500, body: str = "boom") -> TrackingError:
    return TrackingError(ErrorKind.STATUS, f"HTTP {status}: {body}", status=status, body=body)


def check_memory(
    server: MemoryServer, endpoint: Endpoint = ENDPOINT, client: str | None = "3.17.2", **more: Any
) -> Report:
    ticks = itertools.count()
    return check(endpoint, lambda _: server, lambda: next(ticks) / 1000, client, **more)


def outcomes(report: Report) -> dict[str, Outcome]:
    return {finding.id: finding.outcome for finding in report.findings}


def test_a_good_server_passes_every_layer_and_keeps_nothing() -> None:
    server = MemoryServer()
    report = check_memory(server)
    expected = [layer.name for layer in SERVER_LAYERS if layer.name != "tls"]
    assert [finding.id for finding in report.findings] == expected
    assert report.passed
    assert server.existing == {}
    assert server.calls[-1] == "close"


def test_tls_is_looked_at_between_tcp_and_http_for_https_only() -> None:
    endpoint = Endpoint("team", "https://mlflow.lab.example", "3.17.2")
    ids = [finding.id for finding in check_memory(MemoryServer(), endpoint).findings]
    assert ids == [layer.name for layer in SERVER_LAYERS]


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
    names = [entry.name for entry in SERVER_LAYERS if entry.name != "tls"]
    later = names[names.index(layer) + 1 : -1]
    assert [f.id for f in report.findings if f.outcome is Outcome.NOT_REACHED][
        : len(later)
    ] == later
    assert server.existing == {}


@pytest.mark.parametrize("method", METHODS)
def test_what_was_created_is_deleted_when_the_user_interrupts(method: str) -> None:
    server = MemoryServer(**{method: KeyboardInterrupt()})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        check_memory(server)
    assert server.existing == {}
    assert server.calls[-1] == "close"


def test_what_cannot_be_deleted_is_named() -> None:
    server = MemoryServer(delete_artifact=failure(500, "AccessDenied"))
    report = check_memory(server)
    broken = report.first_failure
    assert broken is not None
    assert broken.id == "cleanup.left-behind"
    assert "1/r1/artifacts/provision-check.bin" in broken.observed
    assert "AccessDenied" in broken.observed
    assert set(server.existing) == {"artifact"}


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
