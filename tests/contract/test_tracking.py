from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision.adapters.tracking import TrackingClient
from provision.errors import MissingError, UsageError
from provision.model.endpoint import Credentials, Endpoint
from provision.model.secrets import Secret
from provision.model.tracking import ErrorKind, TrackingError
from tests.certificates import Authority
from tests.listeners import EMPTY, answering, listening, read_request
from tests.mlflow_servers import free_port


def kind_of(endpoint: Endpoint, timeout: float = 5) -> tuple[ErrorKind, str]:
    with (
        TrackingClient(endpoint, timeout=timeout) as client,
        pytest.raises(TrackingError) as caught,
    ):
        client.probe()
    return caught.value.kind, caught.value.reason


# The ways not to get an answer.


def test_an_unknown_name_is_a_dns_error() -> None:
    kind, reason = kind_of(Endpoint("t", "http://no-such-host.invalid:5000", ""))
    assert kind is ErrorKind.DNS
    assert reason in ("unknown-name", "resolver-silent")


def test_a_port_without_a_process_refuses() -> None:
    assert kind_of(Endpoint("t", f"http://127.0.0.1:{free_port()}", "")) == (ErrorKind.REFUSED, "")


def test_a_port_that_drops_packets_times_out() -> None:
    # Linux drops the SYN of a connection for which the accept queue has no place.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        kind, _ = kind_of(Endpoint("t", f"http://127.0.0.1:{address[1]}", ""), timeout=0.5)
        for one in waiting:
            one.close()
    assert kind is ErrorKind.TIMED_OUT


def test_a_port_that_accepts_and_never_answers_is_silent() -> None:
    done = threading.Event()

    def hang(connection: socket.socket) -> None:
        done.wait(10)

    with listening(hang) as server:
        assert kind_of(server.endpoint(), timeout=0.3) == (ErrorKind.SILENT, "")
        done.set()


def test_a_connection_closed_without_an_answer_is_closed() -> None:
    with listening(lambda connection: None) as server:
        assert kind_of(server.endpoint()) == (ErrorKind.CLOSED, "")


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", ""), (b"\x15\x03\x01\x00\x02\x02\x0a", "speaks-tls")],
)
def test_another_protocol_is_no_http(greeting: bytes, reason: str) -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(greeting)

    with listening(handle) as server:
        assert kind_of(server.endpoint()) == (ErrorKind.NOT_HTTP, reason)


@pytest.mark.parametrize(
    "uri",
    ["http://", "ftp://h", "h:5000", "http://h:99999", "http://h:0", "http://u:pw@h:5000", ""],
)
def test_what_is_no_tracking_uri_is_refused_without_repeating_it(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrackingClient(Endpoint("t", uri, ""))
    assert "pw" not in caught.value.message


def test_an_unreadable_password_file_is_named(tmp_path: Path) -> None:
    account = Credentials("ann", tmp_path / "gone")
    with pytest.raises(MissingError, match="gone"):
        TrackingClient.from_endpoint(Endpoint("t", "http://h:1", "", account))


# Requests.


def test_the_host_header_is_the_uris_own_with_its_port() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server, TrackingClient(server.endpoint()) as client:
        client.probe()
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in seen[0]


def test_a_path_in_the_tracking_uri_goes_before_every_route() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server:
        endpoint = Endpoint("t", f"http://127.0.0.1:{server.port}/team/", "")
        with TrackingClient(endpoint) as client:
            client.probe()
    assert seen[0].startswith(b"POST /team/api/2.0/mlflow/experiments/search HTTP/1.1\r\n")


def test_an_ipv6_address_is_reached_and_named_in_brackets() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen), socket.AF_INET6) as server:
        endpoint = Endpoint("t", f"http://[::1]:{server.port}", "")
        with TrackingClient(endpoint) as client:
            client.probe()
    assert f"Host: [::1]:{server.port}\r\n".encode() in seen[0]


def test_a_name_with_several_addresses_is_tried_address_by_address() -> None:
    # localhost is ::1 and 127.0.0.1 on many machines, and the server listens on one of them.
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server:
        endpoint = Endpoint("t", f"http://localhost:{server.port}", "")
        with TrackingClient(endpoint) as client:
            assert "127.0.0.1" in client.resolve()
            assert client.open() == "127.0.0.1"


def test_requests_share_one_connection() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server, TrackingClient(server.endpoint()) as client:
        client.resolve()
        client.open()
        for _ in range(5):
            client.probe()
    assert (server.connections, len(seen)) == (1, 5)


def test_small_requests_are_not_held_back_by_nagles_algorithm() -> None:
    with listening(answering(EMPTY, [])) as server, TrackingClient(server.endpoint()) as client:
        client.open()
        assert client._connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_again() -> None:
    seen: list[bytes] = []
    handler = answering(EMPTY, seen, keep=False)
    with listening(handler) as server, TrackingClient(server.endpoint()) as client:
        for _ in range(3):
            assert client.probe().status == 200
    assert (server.connections, len(seen)) == (3, 3)


def test_credentials_travel_as_basic_auth_in_utf8_and_stay_out_of_errors() -> None:
    seen: list[bytes] = []
    refused = b"HTTP/1.1 401 UNAUTHORIZED\r\nContent-Length: 2\r\n\r\nno"
    account = Credentials("änn", Path("/unused"))
    with listening(answering(refused, seen)) as server:
        client = TrackingClient(server.endpoint(credentials=account), Secret("hunter-zwölf"))
        with client, pytest.raises(TrackingError) as caught:
            client.create_experiment("x")
    header = base64.b64encode("änn:hunter-zwölf".encode())
    assert b"Authorization: Basic " + header + b"\r\n" in seen[0]
    assert caught.value.status == 401
    assert "hunter" not in f"{caught.value} {vars(caught.value)} {vars(client)}".replace(
        header.decode(), ""
    )


@pytest.mark.parametrize("reads_on", [True, False])
def test_a_server_that_refuses_a_body_halfway_is_still_understood(reads_on: bool) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(2048)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while reads_on and connection.recv(65536):
            pass

    with (
        listening(handle) as server,
        TrackingClient(server.endpoint()) as client,
        pytest.raises(TrackingError) as caught,
    ):
        client.upload("1/r/artifacts/big", b"x" * 4_000_000)
    assert caught.value.status == 413


def test_an_answer_that_is_not_mlflows_is_an_error_of_its_own() -> None:
    with (
        listening(answering(EMPTY, [])) as server,
        TrackingClient(server.endpoint()) as client,
        pytest.raises(TrackingError, match="experiment_id") as caught,
    ):
        client.create_experiment("x")
    assert caught.value.kind is ErrorKind.NOT_JSON


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 404 NOT FOUND\r\nContent-Length: 0\r\n\r\n", None),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"runs": 12}', {"runs": 12}),
        (
            b'HTTP/1.1 503 X\r\nContent-Length: 39\r\n\r\n{"error_code": "AWAY", "message": "no"}',
            {"state": "degraded", "database": {"ok": False, "error": "no"}},
        ),
    ],
)
def test_only_a_server_of_ours_has_a_status(answer: bytes, status: object) -> None:
    with listening(answering(answer, [])) as server, TrackingClient(server.endpoint()) as client:
        assert client.server_status() == status


def test_artifact_paths_are_percent_encoded() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server, TrackingClient(server.endpoint()) as client:
        client.upload("1/r/artifacts/a b?ü.txt", b"x")
    assert seen[0].split()[1].endswith(b"/1/r/artifacts/a%20b%3F%C3%BC.txt")


# TLS.


@contextmanager
def tls_server(authority: Authority, *names: str, days: int = 30) -> Iterator[int]:
    files = authority.issue(*names, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    answer = answering(EMPTY, [])

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            answer(secured)

    with listening(handle) as server:
        yield server.port


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def https(port: int, ca_file: Path | None) -> Endpoint:
    return Endpoint("t", f"https://127.0.0.1:{port}", "", ca_file=ca_file)


def test_a_private_ca_is_trusted_where_the_endpoint_names_it(authority: Authority) -> None:
    with (
        tls_server(authority, "127.0.0.1") as port,
        TrackingClient(https(port, authority.ca_file)) as client,
    ):
        assert client.resolve() == ("127.0.0.1",)
        client.open()
        assert client.secure().startswith("TLSv1.")
        assert client.probe().status == 200


def test_another_ca_is_not_trusted(authority: Authority) -> None:
    other = Authority(authority.folder, "Other CA")
    with tls_server(authority, "127.0.0.1") as port:
        assert kind_of(https(port, other.ca_file)) == (ErrorKind.TLS, "unknown-ca")
        assert kind_of(https(port, None)) == (ErrorKind.TLS, "unknown-ca")


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [(["127.0.0.1"], -1, "expired"), (["192.0.2.7", "h.example"], 30, "wrong-name")],
)
def test_a_certificate_that_does_not_hold_is_told_why(
    authority: Authority, names: list[str], days: int, reason: str
) -> None:
    with tls_server(authority, *names, days=days) as port:
        assert kind_of(https(port, authority.ca_file)) == (ErrorKind.TLS, reason)


@pytest.mark.parametrize("content", [None, "no certificate\n", ""])
def test_a_ca_file_that_cannot_be_used_is_named(authority: Authority, content: str | None) -> None:
    file = authority.folder / "broken.pem"
    if content is not None:
        file.write_text(content)
    with tls_server(authority, "127.0.0.1") as port:
        assert kind_of(https(port, file)) == (ErrorKind.TLS, "ca-file")


def test_https_to_a_plain_port_is_told_as_such() -> None:
    with listening(answering(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", [])) as server:
        endpoint = Endpoint("t", f"https://127.0.0.1:{server.port}", "")

        def reply(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server._handle = reply
        assert kind_of(endpoint) == (ErrorKind.TLS, "not-tls")


# What the environment says does not matter.


POISON = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIAPOISON",
    "AWS_SECRET_ACCESS_KEY": "poison",
    "AWS_PROFILE": "no-such-profile",
    "MLFLOW_TRACKING_TOKEN": "poison",
    "MLFLOW_TRACKING_USERNAME": "poison",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
}
PROGRAM = """
import json, sys
from provision.adapters.tracking import TrackingClient
from provision.model.endpoint import Endpoint
with TrackingClient(Endpoint("t", sys.argv[1], "")) as client:
    status = client.probe().status
heavy = {"mlflow", "requests", "urllib3", "boto3", "pydantic"} & set(sys.modules)
print(json.dumps([status, sorted(heavy)]))
"""


def probe_in_a_process(uri: str, environment: dict[str, str]) -> list[object]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, uri],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    value = json.loads(run.stdout)
    assert isinstance(value, list)
    return value


def test_proxies_and_cloud_credentials_in_the_environment_do_not_matter() -> None:
    seen: list[bytes] = []
    with listening(answering(EMPTY, seen)) as server:
        uri = server.endpoint().uri
        assert probe_in_a_process(uri, POISON) == [200, []]
        assert probe_in_a_process(uri, {}) == [200, []]
    assert seen[0] == seen[1]
    assert b"poison" not in seen[0].lower()


def test_a_ca_that_only_openssl_was_told_to_trust_is_not_trusted(authority: Authority) -> None:
    # MLflow's client would not trust it either: requests looks into certifi's bundle alone.
    with tls_server(authority, "127.0.0.1") as port:
        environment = {"SSL_CERT_FILE": str(authority.ca_file)}
        with pytest.raises(subprocess.CalledProcessError) as caught:
            probe_in_a_process(f"https://127.0.0.1:{port}", environment)
    assert "self-signed certificate" in caught.value.stderr or "local issuer" in caught.value.stderr
