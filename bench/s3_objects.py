"""Objects behind S3's own requests, with a latency: what archive and restore are measured against.

It keeps sizes and no content, and takes little of the machine, so that the clients' own ways make
the difference. Its latency is imitated; it is no measurement of AWS.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

CALL_SECONDS = 0.040
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
WHEN, STAMP = "2026-11-20T10:00:00.000Z", "Fri, 20 Nov 2026 10:00:00 GMT"
PIECE = bytes(1 << 20)
PAGE = 1000


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, int]
    order: list[str]

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A whole answer in one packet, as a server in C would send it.
        self.wfile = self.connection.makefile("wb", 1 << 16)  # type: ignore[assignment]

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if body or self.command != "GET":
            self.wfile.flush()

    def _asked(self) -> tuple[str, dict[str, str]]:
        time.sleep(CALL_SECONDS)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        key = unquote(parts.path).removeprefix("/").partition("/")[2]
        return key, {name: value[0] for name, value in query.items()}

    def do_GET(self) -> None:
        key, query = self._asked()
        if not key:
            self._list(query)
        elif key not in self.objects:
            self._answer(404, f"{HEAD}<Error><Code>NoSuchKey</Code></Error>".encode())
        else:
            self._content(key)

    def do_HEAD(self) -> None:
        key, _ = self._asked()
        if key not in self.objects:
            self._answer(404)
            return
        self._answer(200, Content_Length=str(self.objects[key]), Last_Modified=STAMP, ETag='"0"')

    def _content(self, key: str) -> None:
        size, code, more = self.objects[key], 200, {}
        start, end = 0, size
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end, code = int(found[1]), min(int(found[2]) + 1, size), 206
            more = {"Content_Range": f"bytes {start}-{end - 1}/{size}"}
        length = {"Content_Length": str(end - start), "Last_Modified": STAMP, "ETag": '"0"'}
        self._answer(code, **length, **more)
        left = end - start
        while left > 0:
            self.wfile.write(PIECE[: min(left, len(PIECE))])
            left -= len(PIECE)
        self.wfile.flush()

    def _list(self, query: dict[str, str]) -> None:
        start = int(query.get("continuation-token") or 0)
        found = [k for k in self.order if k.startswith(query.get("prefix", ""))]
        page, more = found[start : start + PAGE], start + PAGE < len(found)
        parts = "".join(
            f'<Contents><Key>{key}</Key><LastModified>{WHEN}</LastModified><ETag>"0"</ETag>'
            f"<Size>{self.objects[key]}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        after = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"{HEAD}<ListBucketResult {NAMESPACE}><Name>b</Name><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{after}"
            f"{parts}</ListBucketResult>".encode(),
            Content_Type="application/xml",
        )

    def _body(self) -> tuple[int, str]:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.flush()
        left = size = int(self.headers.get("Content-Length") or 0)
        digest = md5(usedforsecurity=False)
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            left -= len(piece)
            digest.update(piece)
        return size, digest.hexdigest()

    def do_PUT(self) -> None:
        size, digest = self._body()
        key, query = self._asked()
        if "partNumber" not in query:
            self.objects[key] = size
        self._answer(200, ETag=f'"{digest}"')

    def do_POST(self) -> None:
        self._body()
        key, query = self._asked()
        if "uploads" in query:
            kind, inside = "InitiateMultipartUploadResult", "<UploadId>u1</UploadId>"
        else:
            kind, inside = "CompleteMultipartUploadResult", '<ETag>"0-1"</ETag>'
            self.objects[key] = 1
        text = f"{HEAD}<{kind} {NAMESPACE}><Bucket>b</Bucket><Key>{key}</Key>{inside}</{kind}>"
        self._answer(200, text.encode(), Content_Type="application/xml")


class Server(ThreadingHTTPServer):
    """With room for all clients that come at once."""

    request_queue_size = 512
    daemon_threads = True


def main() -> None:
    number, size = map(int, sys.argv[1:3])
    objects: dict[str, Any] = {
        f"artifacts/{n % 7}/{n:032x}/artifacts/model/{n:06}.bin": size for n in range(number)
    }
    Handler.objects, Handler.order = objects, sorted(objects)
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
