"""Answers that come in pieces arrive in pieces: MLflow's gateway in front of a language model."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.server.running import Server, serving, settings_for

pytestmark = pytest.mark.slow

WORDS = ("one", "two")


def piece(word: str) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
    document = {
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [choice],
    }  # fmt: skip
    return b"data: " + json.dumps(document).encode() + b"\n\n"


class Model(BaseHTTPRequestHandler):
    """Speaks OpenAI's protocol; sends its second word only when told to."""

    go_on = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(piece(WORDS[0]))
        self.wfile.flush()
        self.go_on.wait(60)
        self.wfile.write(piece(WORDS[1]) + b"data: [DONE]\n\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Be quiet."""


@pytest.fixture
def model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def created(server: Server, kind: str, body: dict[str, object]) -> dict[str, object]:
    answer = server.call("POST", f"/api/3.0/mlflow/gateway/{kind}/create", body)
    assert answer.status == 200, answer.body
    (found,) = answer.json().values()
    assert isinstance(found, dict)
    return found


def make_endpoint(server: Server, address: str) -> None:
    secret = created(server, "secrets", {
        "secret_name": "s", "provider": "openai", "secret_value": {"api_key": "k"},
        "auth_config": {"api_base": address},
    })  # fmt: skip
    definition = created(server, "model-definitions", {
        "name": "d", "provider": "openai", "model_name": "m", "secret_id": secret["secret_id"],
    })  # fmt: skip
    created(server, "endpoints", {
        "name": "chat",
        "model_configs": [{
            "model_definition_id": definition["model_definition_id"], "linkage_type": "PRIMARY",
        }],
    })  # fmt: skip


def test_the_first_word_arrives_before_the_last_was_sent(tmp_path: Path, model: str) -> None:
    ambient = {
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http",
    }
    with serving(tmp_path, settings_for(tmp_path), environment=ambient) as server:
        make_endpoint(server, model)
        connection = http.client.HTTPConnection("127.0.0.1", server.settings.port, timeout=60)
        body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        path = "/gateway/mlflow/v1/chat/completions"
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        first = response.readline()
        Model.go_on.set()
        rest = response.read()
        connection.close()
    assert WORDS[0].encode() in first and WORDS[1].encode() not in first
    assert WORDS[1].encode() in rest
