"""A versioned bucket behind S3's own requests, with a latency: what emptying is measured against.

It knows what an emptying client asks for and no more, and takes little of the machine, so that the
clients' own ways make the difference. Its latency is imitated; it is no measurement of AWS.
"""

from __future__ import annotations

import bisect
import json
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import unescape

CALL_SECONDS, KEY_SECONDS = 0.080, 0.0006
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
WHEN = "<LastModified>2026-11-20T10:00:00.000Z</LastModified>"
OWNER = "<Owner><ID>0</ID></Owner>"
OBJECT = re.compile(rb"<Object>(.*?)</Object>", re.DOTALL)
PART = re.compile(rb"<(Key|VersionId)>(.*?)</\1>", re.DOTALL)


class Bucket:
    """Entries in S3's order: key, then the newest first. `True` marks a delete marker."""

    def __init__(self, versions: int, markers: int, uploads: int) -> None:
        self.lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        keys = [f"artifacts/{n % 97}/{n:08x}/artifacts/model.bin" for n in range(versions // 2)]
        self.entries: dict[tuple[str, str], bool] = {
            (key, f"{number:032x}"): number < 0 for key in keys for number in (1, 2)
        }
        self.entries |= {(key, f"{0:032x}"): True for key in keys[:markers]}
        self.order = sorted(self.entries)
        self.uploads = {f"upload-{n}": f"artifacts/never-ended-{n}" for n in range(uploads)}
        self.there = True

    def page(self, key: str, version: str, most: int, prefix: str) -> tuple[list[Any], bool]:
        """Entries strictly after the markers, whether what they name is there or not."""
        start = bisect.bisect_right(self.order, (key, version or "~")) if key else 0
        start = max(start, bisect.bisect_left(self.order, (prefix, "")))
        found: list[Any] = []
        for position in range(start, len(self.order)):
            entry = self.order[position]
            if not entry[0].startswith(prefix):
                break
            if entry in self.entries:
                if len(found) == most:
                    return found, True
                found.append((*entry, self.entries[entry]))
        return found, False

    def delete(self, asked: list[tuple[str, str]]) -> None:
        with self.lock:
            for entry in asked:
                self.entries.pop(entry, None)

    @property
    def left(self) -> int:
        return len(self.entries) + len(self.uploads)


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self, code: int, text: str = "") -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, code: int, name: str) -> None:
        self._answer(code, f"{HEAD}<Error><Code>{name}</Code><Message>{name}</Message></Error>")

    def _asked(self, kind: str, keys: int = 0) -> dict[str, str]:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self.bucket.calls[kind] += 1
        time.sleep(CALL_SECONDS + KEY_SECONDS * keys)
        return {name: value[0] for name, value in query.items()}

    def do_GET(self) -> None:
        if self.path == "/left":
            self._answer(200, json.dumps([self.bucket.left, dict(self.bucket.calls)]))
        elif "uploads" in self.path:
            self._asked("uploads")
            self._answer(200, self._uploads())
        elif "versions" in self.path:
            self._list(self._asked("versions"))
        else:
            self._asked("other")
            self._error(404, "NoSuchBucket")

    def _uploads(self) -> str:
        inside = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>"
            for name, key in self.bucket.uploads.items()
        )
        kind = "ListMultipartUploadsResult"
        return f"{HEAD}<{kind} {NAMESPACE}>{inside}<IsTruncated>false</IsTruncated></{kind}>"

    def _folders(self, prefix: str) -> str:
        """What S3 calls common prefixes."""
        start = bisect.bisect_left(self.bucket.order, (prefix, ""))
        below = (key for key, _ in self.bucket.order[start:] if key.startswith(prefix))
        names = sorted({prefix + key[len(prefix) :].split("/")[0] + "/" for key in below})
        inside = "".join(f"<CommonPrefixes><Prefix>{n}</Prefix></CommonPrefixes>" for n in names)
        kind = "ListVersionsResult"
        return f"{HEAD}<{kind} {NAMESPACE}><IsTruncated>false</IsTruncated>{inside}</{kind}>"

    def _list(self, query: dict[str, str]) -> None:
        if query.get("delimiter"):
            self._answer(200, self._folders(query.get("prefix", "")))
            return
        found, more = self.bucket.page(
            query.get("key-marker", ""), query.get("version-id-marker", ""),
            int(query.get("max-keys", 1000)), query.get("prefix", ""),
        )  # fmt: skip
        parts = [
            f"<DeleteMarker><Key>{key}</Key><VersionId>{version}</VersionId>"
            f"<IsLatest>true</IsLatest>{WHEN}{OWNER}</DeleteMarker>"
            if marker
            else f"<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>false"
            f'</IsLatest>{WHEN}<ETag>"0"</ETag><Size>64</Size>{OWNER}'
            "<StorageClass>STANDARD</StorageClass></Version>"
            for key, version, marker in found
        ]
        after = ""
        if more:
            key, version, _ = found[-1]
            after = (
                f"<NextKeyMarker>{key}</NextKeyMarker>"
                f"<NextVersionIdMarker>{version}</NextVersionIdMarker>"
            )
        self._answer(
            200,
            f"{HEAD}<ListVersionsResult {NAMESPACE}><Name>b</Name><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{after}{''.join(parts)}"
            "</ListVersionsResult>",
        )

    def do_POST(self) -> None:
        body = self._body()
        # In any order: the clients in Go have none.
        parts = (dict(PART.findall(found)) for found in OBJECT.findall(body))
        asked = [
            (unescape(part[b"Key"].decode()), part.get(b"VersionId", b"").decode())
            for part in parts
        ]
        self._asked("delete", len(asked))
        self.bucket.delete(asked)
        self._answer(200, f"{HEAD}<DeleteResult {NAMESPACE}></DeleteResult>")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_DELETE(self) -> None:
        query = self._asked("delete one")
        if "uploadId" in query:
            self.bucket.uploads.pop(unquote(query["uploadId"]), None)
        elif self.bucket.entries:
            self._error(409, "BucketNotEmpty")
            return
        else:
            self.bucket.there = False
        self._answer(204)

    def do_HEAD(self) -> None:
        self._asked("head")
        self._answer(200 if self.bucket.there else 404)


def main() -> None:
    Handler.bucket = Bucket(*map(int, sys.argv[1:4]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
