"""Metadata, S3 and the rest of AWS as one small web server that keeps what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

KEYS = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": 'se/cr"et+key', "Token": "to/ken+=="}


class Cloud:
    """Metadata, S3 and one answer for all else; what was asked is kept with its headers."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.denied: set[str] = set()
        self.role = "demo-server"
        self.address = ""

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        self.seen.append((method, path, headers, body))
        if path.startswith("/latest/"):
            return self._metadata(method, path, headers)
        if path == "/":
            return self.answer
        key = unquote(path).removeprefix("/b-1/")
        if method in self.denied:
            return 403, b"<Code>AccessDenied</Code><Message>Access Denied</Message>"
        if method == "PUT":
            self.objects[key] = body
            return 200, b""
        return (200, self.objects[key]) if key in self.objects else (404, b"NoSuchKey")

    def _metadata(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        if path == "/latest/api/token":
            return 200, b"t0ken"
        if headers.get("x-aws-ec2-metadata-token") != "t0ken":
            return 401, b""
        roles = "/latest/meta-data/iam/security-credentials/"
        if path == roles:
            return (200, self.role.encode()) if self.role else (404, b"")
        if path == roles + self.role:
            return 200, json.dumps(KEYS).encode()
        return 200, b"i-0123456789abcdef0"


@contextmanager
def running() -> Iterator[Cloud]:
    """The server, on a port of its own."""
    found = Cloud()

    class Handler(http.server.BaseHTTPRequestHandler):
        def any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = found.reply(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = any  # noqa: N815

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
