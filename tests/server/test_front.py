"""Which requests go straight to Flask, and how a body and an answer pass through."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from typing import Any

import pytest

from provision.server import front

PATHS = frozenset({"/api/x"})
HOST = (b"host", b"localhost")


@pytest.fixture(autouse=True)
def one_allowed_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "host_allowed", lambda host: host == b"localhost")


def scope(**changes: Any) -> dict[str, Any]:
    plain = {
        "type": "http",
        "method": "POST",
        "path": "/api/x",
        "root_path": "",
        "headers": [HOST],
        "query_string": b"a=1",
        "http_version": "1.1",
    }
    return plain | changes


def test_a_plain_call_goes_straight() -> None:
    assert front.goes_direct(scope(), PATHS)


@pytest.mark.parametrize("changes", [
    {"path": "/api/y"},
    {"path": "/api/x/"},
    {"method": "OPTIONS"},
    {"method": "HEAD"},
    {"method": "TRACE"},
    {"root_path": "/proxy"},
    {"headers": []},
    {"headers": [(b"host", b"evil.example")]},
    {"headers": [HOST, HOST]},
    {"headers": [HOST, (b"origin", b"http://localhost")]},
    {"headers": [HOST, (b"x-mlflow-workspace", b"")]},
], ids=str)  # fmt: skip
def test_any_other_call_goes_the_long_way(changes: dict[str, Any]) -> None:
    assert not front.goes_direct(scope(**changes), PATHS)


def received(*messages: dict[str, Any]) -> bytes | None:
    queue = list(messages)

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    return asyncio.run(front.read_body(receive))


def test_a_body_in_parts_is_put_together() -> None:
    parts = [
        {"type": "http.request", "body": b, "more_body": b != b"c"} for b in (b"a", b"b", b"c")
    ]
    assert received(*parts) == b"abc"


def test_a_body_that_breaks_off_is_no_body() -> None:
    part = {"type": "http.request", "body": b"a", "more_body": True}
    assert received(part, {"type": "http.disconnect"}) is None


def test_a_request_without_a_body_has_an_empty_one() -> None:
    assert received({"type": "http.request"}) == b""


class Closing(io.BytesIO):
    pass


def test_a_wsgi_answer_is_read_to_the_end_and_closed() -> None:
    result = Closing(b"line one\nline two")

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert environ["QUERY_STRING"] == "a=1"
        assert environ["wsgi.input"].read() == b"sent"
        start_response("207 Odd", [("X-Two", "1"), ("X-Two", "2")])
        return result

    start, content = front.call_wsgi(application, scope(), b"sent")
    assert start["status"] == 207
    assert start["headers"] == [(b"x-two", b"1"), (b"x-two", b"2")]
    assert content == b"line one\nline two"
    assert result.closed
