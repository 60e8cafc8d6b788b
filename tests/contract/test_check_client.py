"""The one-file check of a client: Python 3.8 and its standard library, run as students run it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from provision.adapters.packages import source_file
from provision.model.client_script import SCRIPT, filled, report
from provision.model.findings import CLIENT_LAYERS, PROBLEMS
from provision.portable import check_client
from tests.certificates import Authority
from tests.contract.test_tracking import tls_server
from tests.listeners import answering, listening
from tests.mlflow_servers import free_port

SOURCE = source_file("portable", SCRIPT)
MLFLOW_TABLE = {id_: p for id_, p in PROBLEMS.items() if p.layer in {x.name for x in CLIENT_LAYERS}}


def http(status: bytes, body: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)])
    return head + b"\r\n\r\n" + body


EMPTY = http(b"200 OK", b"{}")


def ids(environment: Mapping[str, str], folder: Path, **more: float) -> list[str]:
    return [seen.id for seen in check_client.look(environment, str(folder), **more)]


def problems(environment: Mapping[str, str], folder: Path, **more: float) -> list[str]:
    return [id_ for id_ in ids(environment, folder, **more) if "." in id_]


def run(
    folder: Path, environment: Mapping[str, str], uri: str = ""
) -> subprocess.CompletedProcess[str]:
    """As a student does, with a Python that sees no package: -I and -S."""
    script = folder / SCRIPT
    script.write_text(filled(SOURCE, uri), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(script)]
    return subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )


def test_it_is_python_3_8_and_needs_nothing_else() -> None:
    tree = ast.parse(filled(SOURCE), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
    newer = {"removeprefix", "removesuffix", "pairwise", "batched", "to_thread"}
    assert not newer & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_finding_that_it_can_print_is_in_the_table() -> None:
    literals = {
        node.value
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = {
        text for text in literals if text.partition(".")[0] in {"client", "dns", "tcp", "auth"}
    }
    known = {text for text in named if "." in text.strip(".") and " " not in text}
    assert known
    assert known <= set(MLFLOW_TABLE)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["client.no-uri"]),
        ({"MLFLOW_TRACKING_URI": "localhost:5000"}, ["client.malformed-uri"]),
        ({"MLFLOW_TRACKING_URI": "http://"}, ["client.malformed-uri"]),
        ({"MLFLOW_TRACKING_URI": "\u201chttp://h:1\u201d"}, ["client.malformed-uri"]),
        ({"MLFLOW_TRACKING_URI": "sqlite:///x.db"}, ["client.local-uri"]),
        ({"MLFLOW_TRACKING_URI": "./mlruns"}, ["client.local-uri"]),
    ],
)
def test_what_is_no_server_is_found_without_a_network(
    environment: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    assert problems(environment, tmp_path) == expected


def test_settings_that_do_not_go_together_are_found(tmp_path: Path) -> None:
    with listening(answering(EMPTY, [])) as server:
        uri = server.endpoint().uri
        base = {"MLFLOW_TRACKING_URI": uri}

        def found(**more: str) -> list[str]:
            return [i for i in problems(base | more, tmp_path) if not i.startswith("version.")]

        assert found() == []
        assert found(MLFLOW_TRACKING_USERNAME="ann") == ["client.half-account"]
        assert found(MLFLOW_REGISTRY_URI="http://other:1") == ["client.other-registry"]
        assert found(MLFLOW_TRACKING_INSECURE_TLS="true") == ["client.insecure-tls"]
        clash = {"MLFLOW_TRACKING_INSECURE_TLS": "true"}
        missing = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(tmp_path / "no.pem")}
        assert found(**clash, **missing) == ["client.tls-clash", "client.ca-file"]
        assert found(HTTP_PROXY="http://u:secret@proxy:1") == ["tcp.proxy"]
        assert found(HTTP_PROXY="http://proxy:1", NO_PROXY="127.0.0.1") == []
        (tmp_path / "mlruns/0/abc").mkdir(parents=True)
        (tmp_path / "mlruns/0/abc/meta.yaml").touch()
        assert found() == ["client.local-runs"]


UNAUTHORIZED = http(b"401 UNAUTHORIZED", b"no", b'WWW-Authenticate: Basic realm="mlflow"')
ACCOUNT = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "hunter2"}


@pytest.mark.parametrize(
    ("answer", "more", "expected"),
    [
        (http(b"403 FORBIDDEN", b"Invalid Host header - rebinding"), {}, "host.not-allowed"),
        (UNAUTHORIZED, {}, "auth.missing"),
        (UNAUTHORIZED, ACCOUNT, "auth.wrong"),
        (http(b"401 no", b"no", b'WWW-Authenticate: Basic realm="lab"'), {}, "auth.other-gate"),
        (http(b"302 Found", b"", b"Location: https://h/"), {}, "http.redirected"),
        (http(b"502 Bad Gateway", b"<html>"), {}, "http.gateway"),
        (http(b"500 no", b'{"error_code": "INTERNAL_ERROR"}'), {}, "http.server-error"),
        (http(b"200 OK", b"<html>hello"), {}, "http.not-mlflow"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {}, "http.not-http"),
    ],
)
def test_it_reads_an_answer_as_provision_check_does(
    answer: bytes, more: dict[str, str], expected: str, tmp_path: Path
) -> None:
    with listening(answering(answer, [], keep=False)) as server:
        environment = {"MLFLOW_TRACKING_URI": server.endpoint().uri, **more}
        assert problems(environment, tmp_path)[-1] == expected


def test_another_authority_is_told_from_a_good_one(tmp_path: Path) -> None:
    good, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    with tls_server(good, "127.0.0.1") as port:
        environment = {"MLFLOW_TRACKING_URI": f"https://127.0.0.1:{port}"}
        name = "MLFLOW_TRACKING_SERVER_CERT_PATH"
        assert problems({**environment, name: str(other.ca_file)}, tmp_path) == ["tls.unknown-ca"]
        assert problems(environment, tmp_path) == ["tls.unknown-ca"]
        assert "http" in ids({**environment, name: str(good.ca_file)}, tmp_path)


def test_a_student_with_python_alone_reads_cause_and_next_step(tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    done = run(tmp_path, {"MLFLOW_TRACKING_URI": uri, "AWS_SECRET_ACCESS_KEY": "hush", **ACCOUNT})
    assert done.returncode == 6, done.stderr
    assert "FAIL  tcp.refused" in done.stdout
    assert "next step: Run `provision status`" in done.stdout
    assert "AWS_SECRET_ACCESS_KEY" in done.stdout
    assert not {"hush", "hunter2"} & set(done.stdout.replace(",", " ").split())
    assert done.stderr == ""


def test_a_hand_out_knows_which_server_it_is_for(tmp_path: Path) -> None:
    with listening(answering(EMPTY, [])) as server:
        mine = server.endpoint().uri
        done = run(tmp_path, {}, mine)
        assert "client.no-uri" in done.stdout and "http " in done.stdout
        done = run(tmp_path, {"MLFLOW_TRACKING_URI": mine}, mine)
        assert (done.returncode, "other-uri" in done.stdout) == (0, False)
        other = mine.replace("127.0.0.1", "localhost")
        done = run(tmp_path, {"MLFLOW_TRACKING_URI": other}, mine)
        assert f"set it to {mine}" in done.stdout
        done = run(tmp_path, {"MLFLOW_TRACKING_URI": mine + "99"}, mine)
        assert (done.returncode, done.stderr) == (6, "")


def test_what_it_sees_becomes_a_report_with_the_same_ids(tmp_path: Path) -> None:
    with listening(answering(UNAUTHORIZED, [])) as server:
        environment = {"MLFLOW_TRACKING_URI": server.endpoint().uri, **ACCOUNT}
        made = report("uri", check_client.look(environment, str(tmp_path)))
    assert made.first_failure is not None
    assert made.first_failure.id == "auth.wrong"
    assert "`ann`" in made.first_failure.cause
    assert "hunter2" not in json.dumps([vars(finding) for finding in made.findings])
