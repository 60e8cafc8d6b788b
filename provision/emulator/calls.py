"""One request to AWS: which operation of which service, and how that service says no.

The five ways in which AWS services answer are the protocols of its SDKs (Smithy, "AWS protocols":
awsQuery, ec2Query, awsJson1_x, restXml as S3 uses it, rpcv2Cbor; the rest speak restJson1).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

_SCOPE = re.compile(r"Credential=[^/]*/\d+/([^/]*)/([^/]+)/aws4_request")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_ON_BUCKETS = {
    "PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket", "GET": "ListObjects",
}  # fmt: skip
_ON_OBJECTS = {
    "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject", "GET": "GetObject",
}  # fmt: skip
_REASONS = {
    400: "Bad Request", 403: "Forbidden", 409: "Conflict", 429: "Too Many Requests",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip

Environ = MutableMapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer as WSGI wants it: status line, headers, body."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Call:
    """One request: `service` as it signs (`ec2`), `action` as its API names it (`RunInstances`).

    Where a service has no name on the wire (S3's subresources, REST services), the action is the
    method with the path or the subresource: `PUT ?policy`, `GET /policies`.
    `protocol` is one of `ec2`, `query`, `json`, `s3`, `cbor`, `rest`.
    """

    service: str
    region: str
    action: str
    protocol: str
    method: str

    @property
    def name(self) -> str:
        """As IAM writes it: `ec2:RunInstances`."""
        return f"{self.service}:{self.action}"

    @classmethod
    def read(cls, environ: Environ) -> Call:
        """Recognise a request; its body can still be read by whoever comes next."""
        region, service = _scope(environ)
        protocol, action = _protocol_and_action(environ, service)
        return cls(service, region, action, protocol, environ["REQUEST_METHOD"])

    def refusal(self, status: int, code: str, message: str) -> Answer:
        """The error `code` as this service would write it."""
        kind, body = _WRITERS[self.protocol](code, message)
        headers = [("Content-Type", kind), ("x-amzn-RequestId", "emulated")]
        if self.protocol == "rest":
            headers.append(("x-amzn-ErrorType", code))
        if self.protocol == "cbor":
            headers.append(("smithy-protocol", "rpc-v2-cbor"))
        body = b"" if self.method == "HEAD" else body
        headers.append(("Content-Length", str(len(body))))
        return Answer(f"{status} {_REASONS.get(status, 'Error')}", headers, body)


def _scope(environ: Mapping[str, Any]) -> tuple[str, str]:
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (found[1], found[2]) if found else ("", "s3")


def _protocol_and_action(environ: Environ, service: str) -> tuple[str, str]:
    path = environ.get("PATH_INFO", "/")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return "json", target.rpartition(".")[2]
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "cbor", path.rpartition("/")[2]
    if "urlencoded" in environ.get("CONTENT_TYPE", "") and (action := _form_action(environ)):
        return ("ec2" if service == "ec2" else "query"), action
    method = environ["REQUEST_METHOD"]
    if service == "s3":
        return "s3", _s3_action(method, path, environ.get("QUERY_STRING", ""))
    return "rest", f"{method} {path}"


def _form_action(environ: Environ) -> str:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    found = _ACTION.search(body)
    return found[1].decode() if found else ""


def _s3_action(method: str, path: str, query: str) -> str:
    subresource = query.partition("&")[0].partition("=")[0]
    if subresource and subresource not in ("list-type", "prefix", "x-id"):
        return f"{method} ?{subresource}"
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    return (_ON_OBJECTS if key else _ON_BUCKETS).get(method, f"{method} {path}")


def _ec2(code: str, message: str) -> tuple[str, bytes]:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    text = f"<Response><Errors>{error}</Errors><RequestID>emulated</RequestID></Response>"
    return "text/xml;charset=UTF-8", text.encode()


def _query(code: str, message: str) -> tuple[str, bytes]:
    parts = f"<Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
    text = f"<ErrorResponse><Error>{parts}</Error><RequestId>emulated</RequestId></ErrorResponse>"
    return "text/xml", text.encode()


def _s3(code: str, message: str) -> tuple[str, bytes]:
    parts = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    return "application/xml", f'<?xml version="1.0"?>\n<Error>{parts}</Error>'.encode()


def _json(code: str, message: str) -> tuple[str, bytes]:
    body = json.dumps({"__type": code, "message": message}).encode()
    return "application/x-amz-json-1.1", body


def _rest(code: str, message: str) -> tuple[str, bytes]:
    return "application/json", json.dumps({"code": code, "message": message}).encode()


def _cbor(code: str, message: str) -> tuple[str, bytes]:
    pairs = (("__type", code), ("message", message))
    body = b"\xa2" + b"".join(_cbor_text(part) for pair in pairs for part in pair)
    return "application/cbor", body


def _cbor_text(text: str) -> bytes:
    """A text string with a two-byte length (RFC 8949, section 3, major type 3)."""
    raw = text.encode()
    return b"\x79" + len(raw).to_bytes(2, "big") + raw


_WRITERS = {
    "ec2": _ec2, "query": _query, "s3": _s3, "json": _json, "rest": _rest, "cbor": _cbor,
}  # fmt: skip
