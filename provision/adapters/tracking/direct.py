"""Large artifacts past the server: straight to and from its store, by addresses that it signs.

As MLflow's own client does it (`MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD` and `_DOWNLOAD`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from provision.model.tracking import SIGNED_ADDRESS, Answer, ErrorKind, TrackingError

Ask = Callable[[str, str, bytes | None, Mapping[str, str]], Answer]
PART_BYTES: Final = 16 * 2**20
_BLOCK: Final = 2**20
_ROOT: Final = "/api/2.0/mlflow-artifacts"
_JSON: Final = {"Content-Type": "application/json"}


def upload(ask: Ask, path: str, size: int, blocks: Iterable[bytes], timeout: float) -> None:
    """Write one artifact of `size` bytes, a part at a time; `ask` is the server's."""
    folder, _, name = path.rpartition("/")

    def told(step: str, **fields: Any) -> dict[str, Any]:
        body = json.dumps({"path": name, **fields}).encode()
        answer = ask("POST", f"{_ROOT}/mpu/{step}/{quote(folder)}", body, _JSON)
        return dict(json.loads(answer.body or b"{}"))

    begun = told("create", num_parts=-(-size // PART_BYTES))
    sent = []
    try:
        for signed, content in zip(begun["credentials"], _parts(blocks), strict=True):
            etag = _put(signed["url"], content, signed.get("headers") or {}, timeout)
            sent.append({"part_number": signed["part_number"], "etag": etag, "url": signed["url"]})
    except BaseException:
        with contextlib.suppress(TrackingError):
            told("abort", upload_id=begun["upload_id"])
        raise
    told("complete", upload_id=begun["upload_id"], parts=sent)


def download(ask: Ask, path: str, timeout: float) -> Iterator[bytes]:
    """One artifact's content, block by block."""
    signed = json.loads(ask("GET", f"{_ROOT}/presigned/{quote(path)}", None, {}).body)
    with _asked("GET", signed["url"], None, signed.get("headers") or {}, timeout) as response:
        while block := response.read(_BLOCK):
            yield block


def _parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= PART_BYTES:
            yield bytes(held[:PART_BYTES])
            del held[:PART_BYTES]
    if held:
        yield bytes(held)


def _put(url: str, content: bytes, headers: Mapping[str, str], timeout: float) -> str:
    with _asked("PUT", url, content, headers, timeout) as response:
        response.read()
        return response.headers.get("ETag", "")


@contextlib.contextmanager
def _asked(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float
) -> Iterator[http.client.HTTPResponse]:
    """The store's answer. What is signed is a secret: errors name the host alone."""
    address = urlsplit(url)
    if address.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.netloc, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=timeout)
    try:
        connection.request(method, f"{address.path}?{address.query}", body, dict(headers))
        response = connection.getresponse()
        if response.status not in (200, 206):
            message = f"{method} at {address.netloc}: HTTP {response.status}"
            text = response.read(4096).decode("utf-8", "replace")
            raise TrackingError(ErrorKind.STATUS, message, status=response.status, body=text)
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise TrackingError(
            ErrorKind.UNREACHABLE, f"{address.netloc}: {error}", reason=SIGNED_ADDRESS
        ) from error
    finally:
        connection.close()
