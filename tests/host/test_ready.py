"""Readiness: what a client would meet, and what the report makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provision.host.failures import HostError
from provision.host.loader import Failed, Options
from provision.host.phases import ready
from tests.host.conftest import Machine, Told

DENIED = (
    "An error occurred (AccessDenied) when calling the ListObjectsV2 operation: User: arn:x is "
    "not authorized to perform: s3:ListBucket on resource: y"
)


class Proxy:
    """Answers of server and proxy by path; what was asked is kept as curl's options."""

    def __init__(self) -> None:
        self.status: Any = {"database": {"error": None, "milliseconds": 3.0},
                            "artifacts": {"error": None}}  # fmt: skip
        self.fault: Failed | None = None
        self.open: set[int] = set()
        self.asked: list[dict[str, str]] = []

    def curl(self, options: Options, action: str, seconds: float = 60) -> bytes:
        words = dict(options)
        self.asked.append(words)
        if words["url"].endswith(ready.STATUS):
            if self.fault:
                raise self.fault
            healthy = not any(part["error"] for part in self.status.values())
            return self._answer(200 if healthy else 503, json.dumps(self.status))
        wanted = 403 if words.get("header") == "Host: stranger.example" else 401
        return self._answer(200 if wanted in self.open else wanted, "{}")

    @staticmethod
    def _answer(status: int, text: str) -> bytes:
        if status != 200:
            raise Failed(status, text, "GET")
        return text.encode()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Proxy:
    found = Proxy()
    monkeypatch.setattr(ready, "curl", found.curl)
    monkeypatch.setattr(ready, "forget_older", lambda _host: None)
    machine.places.admin_password.write_text("the-password\n")
    return found


def test_it_asks_as_a_client_does(machine: Machine, proxy: Proxy, told: Told) -> None:
    ready.run(machine.host, told)
    first = proxy.asked[0]
    assert first["url"] == "https://198.51.100.7/provision/status"
    assert first["user"] == "admin:the-password"
    assert first["cacert"] == str(machine.places.public_ca)
    assert first["connect-to"].endswith(":443")
    assert "database in 3.0 ms" in told.details[0]
    assert "user" not in proxy.asked[-1]


def test_with_a_domain_the_public_authorities_count(
    machine: Machine, proxy: Proxy, told: Told
) -> None:
    machine.with_settings(domain="mlflow.example.org")
    ready.run(machine.host, told)
    assert proxy.asked[0]["url"] == "https://mlflow.example.org/provision/status"
    assert "cacert" not in proxy.asked[0]


@pytest.mark.parametrize(
    ("database", "artifacts", "code", "words"),
    [
        ("timeout expired", None, "database-unreachable", "database: timeout expired"),
        (None, "Connect timeout on endpoint URL", "artifacts-unreachable", "artifact store"),
        (None, DENIED, "access-denied", "lacks the right s3:ListBucket"),
    ],
)
def test_what_the_server_does_not_reach_is_named(
    machine: Machine, proxy: Proxy, told: Told, database: Any, artifacts: Any, code: str, words: str
) -> None:
    proxy.status["database"]["error"], proxy.status["artifacts"]["error"] = database, artifacts
    with pytest.raises(HostError) as caught:
        ready.run(machine.host, told)
    assert caught.value.code == code
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Failed(401, "", "GET"), "admin-refused-by-server"),
        (Failed(502, "", "GET"), "not-ready"),
        (Failed(0, "curl: (60) SSL certificate problem", "GET"), "not-ready"),
        (Failed(503, "busy", "GET"), "not-ready"),
        (Failed(503, '{"error_code": "X", "message": "away"}', "GET"), "database-unreachable"),
    ],
)
def test_a_way_that_is_barred_is_named(
    machine: Machine, proxy: Proxy, told: Told, fault: Failed, code: str
) -> None:
    proxy.fault = fault
    with pytest.raises(HostError) as caught:
        ready.run(machine.host, told)
    assert caught.value.code == code


def test_a_server_that_comes_late_is_waited_for(machine: Machine, proxy: Proxy, told: Told) -> None:
    proxy.fault = Failed(502, "", "GET")
    machine.clock.meanwhile = lambda: setattr(proxy, "fault", None)
    ready.run(machine.host, told)
    assert told.details


@pytest.mark.parametrize("status", [401, 403])
def test_an_open_door_is_a_failure(machine: Machine, proxy: Proxy, told: Told, status: int) -> None:
    proxy.open.add(status)
    with pytest.raises(HostError) as caught:
        ready.run(machine.host, told)
    assert caught.value.code == "door-open"
