"""What a tracking server answers, and the ways in which it does not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from provision.errors import ProvisionError


class ErrorKind(StrEnum):
    """How a request failed, told apart by what a user would do about it."""

    DNS = "dns"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    SILENT = "silent"
    CLOSED = "closed"
    NOT_HTTP = "not-http"
    STATUS = "status"
    NOT_JSON = "not-json"


SIGNED_ADDRESS: Final = "signed-address"
"""The reason of an error at the artifact store itself, which clients reach past the server."""


class TrackingError(ProvisionError):
    """A request to a tracking server that failed.

    `status` is the HTTP status, 0 where no answer came; `body` the beginning of the answer's body;
    `reason` a slug that narrows `kind` (for a status, MLflow's error code), or empty.
    """

    def __init__(
        self, kind: ErrorKind, message: str, *, status: int = 0, body: str = "", reason: str = ""
    ) -> None:
        super().__init__(
            message, next_step="run `provision check` to see which layer fails and why"
        )
        self.kind = kind
        self.status = status
        self.body = body
        self.reason = reason


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def server(self) -> str:
        """What the answering program calls itself in its Server header, or "" if it does not."""
        return self.headers.get("server", "")

    def excerpt(self, length: int = 200) -> str:
        """The body's first `length` characters on one line."""
        text = " ".join(self.body[: length * 4].decode("utf-8", "replace").split())
        return text if len(text) <= length else text[:length] + "..."


@dataclass(frozen=True)
class RunRecord:
    """A run as the server stores it."""

    run_id: str
    artifact_uri: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def raise_for_status(what: str, answer: Answer) -> Answer:
    """The same answer if its status is a 2xx; otherwise raises TrackingError. `what` was asked."""
    if 200 <= answer.status < 300:
        return answer
    message = f"{what}: HTTP {answer.status}: {answer.excerpt()}"
    raise TrackingError(
        ErrorKind.STATUS,
        message,
        status=answer.status,
        body=answer.excerpt(2000),
        reason=error_code(answer),
    )


def error_code(answer: Answer) -> str:
    """MLflow's `error_code`, such as PERMISSION_DENIED, or "" in an answer without one."""
    with contextlib.suppress(TrackingError):
        return str(json_object(answer).get("error_code", ""))
    return ""


def json_object(answer: Answer) -> dict[str, Any]:
    """The answer's body; raises TrackingError where it is not a JSON object."""
    with contextlib.suppress(ValueError):
        value = json.loads(answer.body)
        if isinstance(value, dict):
            return value
    raise TrackingError(
        ErrorKind.NOT_JSON,
        f"an answer that is not a JSON object: {answer.excerpt()}",
        status=answer.status,
        body=answer.excerpt(),
    )


def dig(reply: Mapping[str, Any], *path: str) -> Any:
    """The value at `path`; raises TrackingError where a level of it is missing."""
    value: Any = reply
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise TrackingError(ErrorKind.NOT_JSON, f"an answer without {'.'.join(path)}")
        value = value[key]
    return value


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Params or tags as MLflow's REST API takes them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def run_record(reply: Mapping[str, Any]) -> RunRecord:
    """A run out of the answer to `runs/create` or `runs/get`."""
    data = dig(reply, "run").get("data", {})
    return RunRecord(
        run_id=dig(reply, "run", "info", "run_id"),
        artifact_uri=dig(reply, "run", "info", "artifact_uri"),
        metrics={entry["key"]: float(entry["value"]) for entry in data.get("metrics", ())},
        params={entry["key"]: entry["value"] for entry in data.get("params", ())},
        tags={entry["key"]: entry["value"] for entry in data.get("tags", ())},
    )
