"""What MLflow's own server answers, ours answers: each route, with auth and without."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.server.environment import write_auth_config
from tests.server.running import (
    ADMIN,
    Answer,
    auth_for,
    call,
    serving,
    settings_for,
    stock_server,
)

pytestmark = pytest.mark.slow

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
USER = ("someone", "an-ordinary-password")
HEADERS = (
    "content-type", "x-content-type-options", "x-frame-options", "www-authenticate", "allow",
    "location", "vary", "cache-control", "content-disposition", "access-control-allow-origin",
    "access-control-allow-credentials", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-expose-headers", "server",
)  # fmt: skip

# For the variable part of a path: things that look right and do not exist.
VALUES = {
    "artifact_path": "7/none/artifacts/a.txt",
    "path": "index.html",
    "job_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "experiment_id": "7",
    "version": "1",
}
BODY = {
    "experiment_id": "0",
    "experiment_ids": ["0"],
    "run_id": "0123456789abcdef0123456789abcdef",
    "run_uuid": "0123456789abcdef0123456789abcdef",
    "name": "missing",
    "key": "k",
    "value": "v",
    "version": "1",
    "alias": "a",
    "path": "p",
    "username": "nobody",
    "max_results": 5,
}
# One asks a server on the internet, the other works for over a minute: neither answer tells the
# two servers apart, so only the methods that they refuse are compared.
UNCOMPARED = ("/gateway/supported-models", "/demo/generate")
VOLATILE = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"[0-9a-f]{32}", "ID"),
    (r'"digest": "[0-9a-f]{8}"', "DIGEST"),
    (r'name="csrf_token" value="[^"]+"', "TOKEN"),
    (r"0x[0-9a-f]{6,}", "ADDRESS"),
    (r"\b1[0-9]{12}\b", "MILLISECONDS"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)?", "TIME"),
    (r"\b[a-z]+-[a-z]+-\d{1,3}\b", "RANDOM-NAME"),
)


@dataclass(frozen=True)
class Case:
    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {json.dumps(self.body)}"


@dataclass(frozen=True)
class Side:
    """One of the two servers: where it is, and its folder, which shows up in messages."""

    port: int
    folder: Path

    def plain(self, body: bytes) -> str:
        text = body.decode("utf-8", "replace")
        text = text.replace(str(self.folder), "FOLDER").replace(str(self.port), "PORT")
        for pattern, name in VOLATILE:
            text = re.sub(pattern, name, text)
        return text

    def seen(self, answer: Answer) -> tuple[int, dict[str, str], str]:
        headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        if "allow" in headers:
            # Werkzeug writes a set, whose order differs between processes.
            headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
        return answer.status, headers, self.plain(answer.body)


def all_routes(folder: Path, *, auth: bool) -> list[tuple[str, list[str]]]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
    }
    script = Path(__file__).with_name("routes.py")
    done = subprocess.run(
        [sys.executable, script, *(["auth"] if auth else [])],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [(path, methods) for path, methods in json.loads(done.stdout)]


def filled(path: str) -> str:
    """A path without variable parts: Flask writes `<type:name>`, FastAPI `{name:type}`."""
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda m: VALUES.get(m[1], "missing"), path)
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: VALUES.get(m[1], "missing"), path)


def cases(routes: Sequence[tuple[str, list[str]]]) -> Iterator[Case]:
    for rule, methods in routes:
        path = filled(rule)
        for method in METHODS:
            if path.endswith(UNCOMPARED) and method in (*methods, "HEAD"):
                continue
            yield Case(method, path)
            if method in methods and method != "GET":
                yield Case(method, path, {})
                yield Case(method, path, BODY)
            if method in methods and method == "GET":
                yield Case(method, f"{path}?experiment_id=0&run_id={BODY['run_id']}&name=missing")


def guarded_cases(routes: Sequence[tuple[str, list[str]]]) -> Iterator[Case]:
    """What accounts can change: each method that a route has, and one that it has not.

    How the others are refused is compared without accounts, by the same two applications.
    """
    for rule, methods in routes:
        path = filled(rule)
        refused = [method for method in METHODS if method not in (*methods, "HEAD", "OPTIONS")]
        for method in (*methods, *refused[:1]):
            if path.endswith(UNCOMPARED) and method in methods:
                continue
            yield Case(method, path, BODY if method in methods and method != "GET" else None)


def differences(
    sides: tuple[Side, Side], wanted: Sequence[Case], user: tuple[str, str] | None
) -> list[str]:
    def ask(side: Side, case: Case) -> tuple[int, dict[str, str], str]:
        return side.seen(call(side.port, case.method, case.path, case.body, user=user))

    found = []
    with ThreadPoolExecutor(2) as pool:
        for case in wanted:
            stock, ours = pool.map(ask, sides, (case, case))
            if stock != ours:
                found.append(f"{case} as {user}:\n  stock {stock}\n  ours  {ours}")
    return found


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    stock_folder, our_folder = (tmp_path_factory.mktemp(name) for name in ("stock", "ours"))
    with (
        stock_server(stock_folder) as port,
        serving(our_folder, settings_for(our_folder)) as server,
    ):
        yield Side(port, stock_folder), Side(server.settings.port, our_folder)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    stock_folder, our_folder = (tmp_path_factory.mktemp(name) for name in ("stock", "ours"))
    secrets = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
        "MLFLOW_AUTH_CONFIG_PATH": str(stock_folder / "auth.ini"),
    }
    # The same settings on both sides: without the cache each request hashes a password.
    write_auth_config(auth_for(stock_folder))
    settings = settings_for(our_folder, auth=auth_for(our_folder))
    with (
        stock_server(stock_folder, "--app-name", "basic-auth", **secrets) as port,
        serving(our_folder, settings) as server,
    ):
        both = Side(port, stock_folder), Side(server.settings.port, our_folder)
        for side in both:
            path = "/api/2.0/mlflow/users/create"
            body = {"username": USER[0], "password": USER[1]}
            assert call(side.port, "POST", path, body, user=ADMIN).status == 200
        yield both


def test_every_route_answers_as_mlflow_server_does(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    routes = all_routes(tmp_path, auth=False)
    assert len(routes) > 300
    assert not differences(sides, list(cases(routes)), None)


@pytest.mark.parametrize("user", [None, ("admin", "wrong"), USER, ADMIN], ids=str)
def test_every_route_answers_the_same_under_auth(
    guarded: tuple[Side, Side], tmp_path: Path, user: tuple[str, str] | None
) -> None:
    routes = all_routes(tmp_path, auth=True)
    wanted = list(guarded_cases(routes))
    if user == ("admin", "wrong"):
        # A refusal is not cached, so each one hashes a password: one route in three has to do.
        wanted = [case for case in wanted if case.method in METHODS[:2]][::3]
    assert not differences(guarded, wanted, user)


def test_nothing_but_health_and_version_is_open_without_credentials(
    guarded: tuple[Side, Side], tmp_path: Path
) -> None:
    side = guarded[1]
    answered = {
        filled(path)
        for path, methods in all_routes(tmp_path, auth=True)
        if not path.endswith(UNCOMPARED)
        and call(side.port, methods[0] if methods else "GET", filled(path)).status == 200
    }
    public = ("/health", "/static-files/", "/favicon.ico", "/server-info")
    assert {path for path in answered if not any(name in path for name in public)} == set()


HOSTS = ["evil.example", "127.0.0.1.evil.example", "", "localhost", "LOCALHOST", "10.1.2.3:80"]


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/experiments/get?experiment_id=0", "/", "/health",
                                  "/version", "/api/3.0/mlflow/server-info"])  # fmt: skip
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_header_is_judged_as_by_mlflow_server(
    sides: tuple[Side, Side], path: str, host: str
) -> None:
    stock, ours = (
        side.seen(call(side.port, "GET", path, headers={"Host": host})) for side in sides
    )
    assert ours == stock


def test_a_foreign_host_is_refused(sides: tuple[Side, Side]) -> None:
    headers = {"Host": "evil.example"}
    for path in ("/api/2.0/mlflow/experiments/get?experiment_id=0", "/provision/status", "/"):
        assert call(sides[1].port, "GET", path, headers=headers).status == 403


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:3000", "null", "http://127.0.0.1:5000"]
)
@pytest.mark.parametrize("path", ["/api/2.0/mlflow/experiments/search", "/ajax-api/3.0/jobs/search",
                                  "/api/2.0/mlflow-artifacts/artifacts/x"])  # fmt: skip
def test_an_origin_is_judged_as_by_mlflow_server(
    sides: tuple[Side, Side], method: str, origin: str, path: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    body = {"max_results": 1} if method == "POST" else None
    stock, ours = (
        side.seen(call(side.port, method, path, body, headers=headers)) for side in sides
    )
    assert ours == stock


def test_a_foreign_origin_may_not_post(sides: tuple[Side, Side]) -> None:
    headers = {"Origin": "https://evil.example"}
    body = {"name": "from elsewhere"}
    answer = call(sides[1].port, "POST", "/api/2.0/mlflow/experiments/create", body, headers)
    assert answer.status == 403


def test_a_workspace_header_is_answered_as_by_mlflow_server(sides: tuple[Side, Side]) -> None:
    path, headers = "/api/2.0/mlflow/experiments/get?experiment_id=0", {"X-MLFLOW-WORKSPACE": "w"}
    stock, ours = (side.seen(call(side.port, "GET", path, headers=headers)) for side in sides)
    assert ours == stock
    assert ours[0] != 200


def test_a_chunked_json_body_is_read_as_by_mlflow_server(sides: tuple[Side, Side]) -> None:
    stock, ours = (
        side.seen(
            call(
                side.port,
                "POST",
                "/api/2.0/mlflow/experiments/search",
                (part for part in (b'{"max_', b'results": 1}')),
                headers={"Content-Type": "application/json"},
            )
        )
        for side in sides
    )
    assert ours == stock


def test_an_artifact_goes_up_in_chunks_and_comes_back_whole(sides: tuple[Side, Side]) -> None:
    content = os.urandom(20 * 1024 * 1024)
    size = 1024 * 1024
    parts = (content[at : at + size] for at in range(0, len(content), size))
    path = "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/model.bin"
    assert call(sides[1].port, "PUT", path, parts).status == 200
    answer = call(sides[1].port, "GET", path)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content).digest()


def test_traces_are_taken_in_the_opentelemetry_way(sides: tuple[Side, Side]) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = os.urandom(16), os.urandom(8), "a span"
    span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 5
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
    body = request.SerializeToString()
    stock, ours = (
        side.seen(call(side.port, "POST", "/v1/traces", body, headers=headers)) for side in sides
    )
    assert ours == stock
    assert ours[0] == 200
