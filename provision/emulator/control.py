"""Make an emulated account fail, from any process: the client of `provision.emulator.faults`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from provision.emulator.faults import PATH, Fault

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Met:
    """What happened since the server's start (`calls`) and since the faults were set (`hits`).

    `calls` counts by name (`ec2:RunInstances`); `hits` are in the order of the faults.
    """

    calls: dict[str, int]
    hits: tuple[int, ...]


def set_faults(endpoint: str, faults: Sequence[Fault]) -> None:
    """Set these faults and no others; an empty list lets everything work again.

    Raises `ValueError` when the server does not allow faults or does not know one.
    """
    _ask(endpoint, "PUT", json.dumps([asdict(fault) for fault in faults]))


def met(endpoint: str) -> Met:
    """What the server has seen, the calls that faults hit included."""
    value = _ask(endpoint, "GET")
    return Met(value["calls"], tuple(fault["met"] for fault in value["faults"]))


def _ask(endpoint: str, method: str, body: str | None = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, PATH, body)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200 or answer.getheader("Content-Type") != "application/json":
        raise ValueError(f"no faults can be set at {endpoint}: {text[:500]}")
    value = json.loads(text)
    assert isinstance(value, dict)  # noqa: S101 - our own server's answer
    return value
