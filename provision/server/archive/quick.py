"""Small objects with one signed request each, without what botocore does around a request.

Botocore looks up, checks, serialises and parses for longer than it takes to sign and send. Here its
signer, its connections and its settings do the work; whatever does not end as it should is left to
botocore itself, which knows retries, redirects and errors.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.utils import percent_encode

from provision.server.archive.sums import Facts, Fetched

SMALL = 256 << 10
"""Bytes of what is held in memory at once, for each request that is under way."""
_OK = 200
_SAFE = "/~"


class Quick:
    """The way to a bucket that a client of botocore has gone before.

    `owner` is the account that the bucket has to belong to, or empty.
    """

    def __init__(self, client: Any, bucket: str, owner: str) -> None:
        self._client, self._bucket = client, bucket
        self._headers = {"x-amz-expected-bucket-owner": owner} if owner else {}
        self._base = ""
        for operation in ("GetObject", "PutObject"):
            client.meta.events.register(f"before-send.s3.{operation}", self._learn)

    def _learn(self, request: Any, **_: Any) -> None:
        """Where the bucket is: as botocore works it out, anew after each redirect."""
        url, own = urlsplit(str(request.url)), f"/{self._bucket}/"
        if url.netloc.startswith(f"{self._bucket}."):
            self._base = f"{url.scheme}://{url.netloc}/"
        elif url.path.startswith(own):
            self._base = f"{url.scheme}://{url.netloc}{own}"

    def get(self, key: str, file: Path) -> Fetched | None:
        """A small object into a file; `None` where botocore has to ask."""
        answer = self._send("GET", key, {"x-amz-checksum-mode": "ENABLED"})
        if answer is None:
            return None
        content: bytes = answer.content
        digest = sha256(content)
        if not _arrived(content, digest.digest(), answer.headers):
            return None
        file.write_bytes(content)
        when = int(parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp())
        return Fetched(digest.hexdigest(), Facts(len(content), when * 1_000_000_000))

    def put(self, key: str, content: bytes, digest: str) -> bool:
        """Upload what nobody has put there yet; False where botocore has to ask."""
        checksum = base64.b64encode(bytes.fromhex(digest)).decode("ascii")
        headers = {
            "If-None-Match": "*", "x-amz-checksum-sha256": checksum, "x-amz-meta-sha256": digest,
            "x-amz-sdk-checksum-algorithm": "SHA256",
        }  # fmt: skip
        return self._send("PUT", key, headers, content) is not None

    def _send(self, method: str, key: str, headers: Mapping[str, str], content: bytes = b"") -> Any:
        if not self._base:
            return None
        url = self._base + percent_encode(key, safe=_SAFE)
        request = AWSRequest(method, url, {**self._headers, **headers}, content or None)
        try:
            self._signer().add_auth(request)
            answer = self._client._endpoint.http_session.send(request.prepare())
        except (BotoCoreError, HTTPClientError, OSError):
            return None
        return answer if answer.status_code == _OK else None

    def _signer(self) -> Any:
        """With keys as they are now: those of a role change every few hours."""
        meta = self._client.meta
        return self._client._request_signer.get_auth_instance("s3", meta.region_name, "s3v4")


def _arrived(content: bytes, digest: bytes, headers: Mapping[str, str]) -> bool:
    """Whether it is as long as S3 says, and has the checksum that S3 keeps, if we know its kind."""
    if len(content) != int(headers["Content-Length"]):
        return False
    known = {
        "x-amz-checksum-sha256": digest,
        "x-amz-checksum-crc32": zlib.crc32(content).to_bytes(4, "big"),
    }
    told = {name: headers.get(name) for name in known}
    return all(
        value is None or "-" in value or base64.b64decode(value) == known[name]
        for name, value in told.items()
    )
