from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model import diagnosis
from provision.model.endpoint import Endpoint
from provision.model.findings import GROUPS, PROBLEMS, SERVER_LAYERS
from provision.model.findings.pages import pages
from provision.model.tracking import Answer, ErrorKind, TrackingError

ROOT = Path(__file__).parents[2]
ENDPOINT = Endpoint("team", "http://mlflow.lab.example:5000", "3.17.2")
LAYERS = [layer.name for group in GROUPS for layer in group.layers]


# The table.


def test_the_pages_made_from_the_table_are_current() -> None:
    made = pages()
    there = {f"docs/troubleshooting/{p.name}" for p in (ROOT / "docs/troubleshooting").iterdir()}
    assert there == {path for path in made if "/troubleshooting/" in path}, "make findings"
    stale = [path for path in made if (ROOT / path).read_text(encoding="utf-8") != made[path]]
    assert not stale, "make findings"


def test_every_id_belongs_to_a_layer_and_has_a_cause_and_a_next_step() -> None:
    for problem_id, problem in PROBLEMS.items():
        assert re.fullmatch(r"[a-z-]+\.[a-z-]+", problem_id)
        assert problem_id.partition(".")[0] in LAYERS
        assert problem.cause.rstrip().endswith((".", "}"))
        assert problem.next_step


def test_every_layer_can_fail() -> None:
    assert {problem_id.partition(".")[0] for problem_id in PROBLEMS} == set(LAYERS)


def test_every_id_stands_once_in_the_table() -> None:
    page = pages()["docs/reference/findings.md"]
    assert all(page.count(f"| `{problem_id}`") == 1 for problem_id in PROBLEMS)
    assert len(PROBLEMS) == sum(len(group.problems) for group in GROUPS)
    assert len(LAYERS) == len(set(LAYERS))


@given(
    kind=st.sampled_from(ErrorKind),
    # The last two raise no such errors of their own.
    layer=st.sampled_from([layer.name for layer in SERVER_LAYERS[:-2]]),
    status=st.sampled_from([0, 400, 401, 403, 404, 413, 500, 503]),
    reason=st.sampled_from(["", "expired", "unknown-ca", "unknown-name", "ca-file", "speaks-tls"]),
)
def test_every_error_in_every_layer_becomes_a_finding_with_complete_texts(
    kind: ErrorKind, layer: str, status: int, reason: str
) -> None:
    error = TrackingError(kind, "message", status=status, reason=reason)
    problem = PROBLEMS[diagnosis.of_error(layer, error)]
    facts = {**diagnosis.facts(ENDPOINT), "artifact_size": "1 KiB", "large_size": "1GiB"}
    for text in (problem.cause, problem.next_step):
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        assert names <= set(facts)


# What one answer shows.

HOST_REFUSED = b"Invalid Host header - possible DNS rebinding attack detected"
NOT_AUTHENTICATED = b"You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth"
ARTIFACTS_ONLY = (
    b"Endpoint: /api/... disabled due to the mlflow server running in `--artifacts-only` mode."
)

NO_SLOTS = "http.connections-used-up"


def error(message: bytes) -> bytes:
    return b'{"error_code": "INTERNAL_ERROR", "message": "' + message + b'"}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "problem"),
    [
        (200, {}, b'{"experiments": []}', ""),
        (200, {}, b"{}", ""),
        (200, {}, b"<html>", "http.not-mlflow"),
        (200, {}, b'{"hello": 1}', "http.not-mlflow"),
        (200, {}, b"[1]", "http.not-mlflow"),
        (404, {}, b"<html>not found", "http.not-mlflow"),
        (500, {}, b"<html>Internal Server Error", "http.not-mlflow"),
        (500, {}, b'{"error_code": "INTERNAL_ERROR"}', "http.server-error"),
        (500, {}, error(b"FATAL: remaining connection slots are reserved"), NO_SLOTS),
        (500, {}, error(b"QueuePool limit of size 1 overflow 0 reached"), NO_SLOTS),
        (500, {}, error(b"no pg_hba.conf entry for host, no encryption"), "http.database-tls"),
        (500, {}, error(b"server does not support SSL, but it was required"), "http.database-tls"),
        (500, {}, error(b"FATAL: password authentication failed"), "http.database-password"),
        (503, {}, error(b"connection to server at ... failed: refused"), "http.database-gone"),
        (500, {}, error(b"no such table: experiments"), "http.schema"),
        (500, {}, error(b"database or disk is full"), "http.disk-full"),
        (302, {"location": "https://h/"}, b"", "http.redirected"),
        (502, {"server": "nginx"}, b"<html>Bad Gateway", "http.gateway"),
        (503, {}, ARTIFACTS_ONLY, "http.artifacts-only"),
        (400, {}, b"The plain HTTP request was sent to HTTPS port", "http.speaks-tls"),
        (403, {}, HOST_REFUSED, "host.not-allowed"),
        (403, {}, b"Permission denied", "auth.forbidden"),
        (401, {"www-authenticate": 'Basic realm="mlflow"'}, b"", "auth.missing"),
        (401, {}, NOT_AUTHENTICATED, "auth.missing"),
        (401, {"www-authenticate": 'Basic realm="lab"'}, b"", "auth.other-gate"),
    ],
)
def test_the_first_answer_tells_what_is_wrong(
    status: int, headers: dict[str, str], body: bytes, problem: str
) -> None:
    answer = Answer(status, headers, body)
    assert diagnosis.of_first_answer(answer, with_credentials=False) == problem


def test_refused_credentials_are_told_from_missing_ones() -> None:
    answer = Answer(401, {}, NOT_AUTHENTICATED)
    assert diagnosis.of_first_answer(answer, with_credentials=True) == "auth.wrong"


@pytest.mark.parametrize(
    ("artifact_uri", "problem"),
    [
        ("mlflow-artifacts:/1/abc/artifacts", ""),
        ("mlflow-artifacts://other:5000/1/abc/artifacts", "artifact-upload.other-root"),
        ("https://h/api/2.0/mlflow-artifacts/artifacts/1", "artifact-upload.other-root"),
        ("s3://bucket/1/abc/artifacts", "artifact-upload.cloud-root"),
        ("gs://bucket/1/abc/artifacts", "artifact-upload.cloud-root"),
        ("/srv/ann/mlruns/1/abc/artifacts", "artifact-upload.local-root"),
        ("file:///srv/ann/mlruns/1", "artifact-upload.local-root"),
        ("./mlruns/1", "artifact-upload.local-root"),
    ],
)
def test_a_runs_artifact_location_tells_what_clients_would_need(
    artifact_uri: str, problem: str
) -> None:
    assert diagnosis.of_artifact_root(artifact_uri) == problem


@pytest.mark.parametrize(
    ("client", "server", "problem"),
    [
        ("3.17.2", "3.17.2", ""),
        ("3.17.0", "3.17.9", ""),
        (None, "3.17.2", ""),
        ("3.1.7", "3.17.2", "version.differs"),
        ("2.22.1", "3.17.2", "version.differs"),
        ("3.17.2", "", "version.unknown"),
        (None, "<html>", "version.unknown"),
    ],
)
def test_versions_agree_within_one_minor(client: str | None, server: str, problem: str) -> None:
    assert diagnosis.of_versions(client, server) == problem


@pytest.mark.parametrize(
    ("revision", "tables", "problem"),
    [
        ("c", 40, ""),
        ("a", 40, "database.older"),
        ("z", 40, "database.newer"),
        (None, 0, ""),
        (None, 3, "database.foreign"),
    ],
)
def test_a_schema_is_older_newer_or_foreign(
    revision: str | None, tables: int, problem: str
) -> None:
    assert diagnosis.of_schema(revision, ("a", "b", "c"), tables) == problem


def test_without_an_installed_mlflow_every_schema_is_taken() -> None:
    assert diagnosis.of_schema("a", (), 40) == ""


# Proxies, held against the library that MLflow's client uses.

HOSTS = ["mlflow.lab.example", "lab.example", "evil-lab.example", "10.1.2.3", "127.0.0.1"]
EXCLUSIONS = ["lab.example", ".lab.example", "10.0.0.0/8", "10.1.2.3", "*", "LAB.example", "x:5000"]
PROXIES = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(HOSTS),
    names=st.sets(st.sampled_from(PROXIES)),
    excluded=st.lists(st.sampled_from(EXCLUSIONS), max_size=3),
)
def test_the_same_proxy_is_found_as_by_requests(
    scheme: str, host: str, names: set[str], excluded: list[str]
) -> None:
    from requests.utils import get_environ_proxies, select_proxy

    uri = f"{scheme}://{host}:5000"
    environment = {name: f"http://{name}:3128" for name in names}
    environment |= {"NO_PROXY": ",".join(excluded)} if excluded else {}
    with pytest.MonkeyPatch.context() as patch:
        for name in (*PROXIES, "NO_PROXY", "no_proxy"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        theirs = select_proxy(uri, get_environ_proxies(uri))
    ours = diagnosis.proxy_in_the_way(uri, environment)
    assert (ours and ours[1].lower()) == (theirs and theirs.lower())


def test_a_proxys_password_is_not_shown() -> None:
    environment = {"HTTP_PROXY": "http://ann:hunter2@proxy.lab.example:3128"}
    assert diagnosis.proxy_in_the_way("http://h:1", environment) == (
        "HTTP_PROXY",
        "http://proxy.lab.example:3128",
    )
