"""Pages of versions without a Python object for each field of each version.

Botocore reads a page of 1,000 versions in 60 ms and writes their deletion in 25, all of it with the
interpreter's one lock held, so that a pool of threads only waits for itself. What emptying needs of
a version is its name, which goes from one document into the other as it stands.
`bench/emptying.py` measures what it brings.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape, unescape

from provision.model.emptied import Emptied

_ITEM: Final = re.compile(rb"<(Version|DeleteMarker)>(.*?)</\1>", re.DOTALL)
_KEY: Final = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
_VERSION: Final = re.compile(rb"<VersionId>(.*?)</VersionId>", re.DOTALL)
_SIZE: Final = re.compile(rb"<Size>(\d+)</Size>")
_BY_URL: Final = b"<EncodingType>url</EncodingType>"
_OPEN: Final = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>'
_CLOSE: Final = b"</Delete>"
_PAGE: Final = "ProvisionPage"
_PARTS: Final = 4  # listings at once; S3 answers one after 50 to 200 ms, however fast we read
_DEPTH: Final = 6  # folders in folders, each alone in its own


class Page(NamedTuple):
    """What one request lists: each as a deletion names it, what they are, and whether a part of the
    bucket ends with it although the listing goes on."""

    keys: list[bytes]
    holds: Emptied
    ends: bool = False


class QuickPages:
    """A client's listing of versions, and its deletion of many; the client must be nobody else's.

    Botocore still signs, sends, tries again and reads the errors. Safe for threads.
    """

    def __init__(self, s3: Any, owner: dict[str, str], prefix: str = "") -> None:
        self._s3 = s3
        self._owner = owner
        self._prefix = prefix
        self._thread = threading.local()
        s3.meta.events.register("before-parse.s3.ListObjectVersions", self._take_items_out)
        s3.meta.events.register("before-call.s3.DeleteObjects", self._put_keys_in)

    def pages(self, size: int) -> Iterator[Page]:
        """All versions and delete markers, at most `size` at a time.

        Parts of the bucket are listed at the same time, each with one request under way.
        """
        bounds = [*self._bounds(), b""]
        parts = [self._part(*ends, size) for ends in zip([b"", *bounds], bounds, strict=False)]
        with ThreadPoolExecutor(len(parts)) as pool:
            waiting = {pool.submit(next, part, None): part for part in parts}
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    part, page = waiting.pop(future), future.result()
                    if page is not None:
                        waiting[pool.submit(next, part, None)] = part
                        yield page

    def _bounds(self) -> list[bytes]:
        """Where to cut the bucket: at its folders, on the first level that has several."""
        prefix, folders = self._prefix, [""]
        for _ in range(_DEPTH):
            found = self._s3.list_object_versions(**self._owner, Prefix=prefix, Delimiter="/")
            folders = [item["Prefix"] for item in found.get("CommonPrefixes", ())]
            if len(folders) != 1:
                break
            prefix = folders[0]
        cuts = {folders[len(folders) * part // _PARTS] for part in range(1, _PARTS) if folders}
        return sorted(cut.encode() for cut in cuts - {""} if len(folders) >= _PARTS)

    def _part(self, after: bytes, last: bytes, size: int) -> Iterator[Page]:
        """The versions of keys after one and up to another, which both may be missing."""
        start = self._owner | ({"Prefix": self._prefix} if self._prefix else {})
        start |= {"KeyMarker": after.decode()} if after else {}
        listing = self._s3.get_paginator("list_object_versions")
        pages = iter(listing.paginate(**start, PaginationConfig={"PageSize": size}))
        while True:
            # Each page may be asked for by another thread.
            self._thread.last = last
            listed: Mapping[str, Any] = next(pages, {})
            found = listed.get(_PAGE)
            if found is not None and found.keys:
                yield found
            if found is None or found.ends:
                return

    def delete(self, keys: Sequence[bytes]) -> list[tuple[bytes, dict[str, Any]]]:
        """Delete these; what S3 would not delete, each with what it said."""
        self._thread.body = b"".join((_OPEN, *keys, _CLOSE))
        # Botocore wants to see something; the real names take its place.
        named = {"Objects": [{"Key": "-"}], "Quiet": True}
        answer = self._s3.delete_objects(**self._owner, Delete=named)
        return [(_refused(item), item) for item in answer.get("Errors") or []]

    def _take_items_out(
        self, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        """Read a page here; what is left of it for botocore is its frame."""
        if response_dict["status_code"] == 200:
            body = response_dict["body"]
            last = getattr(self._thread, "last", b"")
            customized_response_dict[_PAGE] = _read(body, last)
            response_dict["body"] = _ITEM.sub(b"", body)

    def _put_keys_in(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._thread.body


def _read(body: bytes, last: bytes) -> Page:
    """What a page names, but for keys that come after `last`: those are another part's."""
    keys: list[bytes] = []
    versions = size = 0
    by_url = _BY_URL in body
    for kind, item in _ITEM.findall(body):
        key, version = _KEY.search(item), _VERSION.search(item)
        if key is None:
            continue
        if last and _bare(key[1], by_url=by_url) > last:
            return Page(keys, Emptied(versions, size, len(keys) - versions), ends=True)
        keys.append(_named(_plain(key[1]) if by_url else key[1], version[1] if version else b""))
        if kind == b"Version":
            held = _SIZE.search(item)
            versions, size = versions + 1, size + (int(held[1]) if held else 0)
    return Page(keys, Emptied(versions, size, len(keys) - versions))


def _bare(key: bytes, *, by_url: bool) -> bytes:
    """A key as S3 sorts it."""
    if by_url:
        return unquote_to_bytes(key.replace(b"+", b" "))
    return unescape(key.decode(errors="surrogateescape"), {"&quot;": '"', "&apos;": "'"}).encode(
        errors="surrogateescape"
    )


def _plain(key: bytes) -> bytes:
    """A key that came in the form of a URL, as XML has it."""
    return _escaped(unquote_to_bytes(key.replace(b"+", b" "))) if _is_quoted(key) else key


def _is_quoted(key: bytes) -> bool:
    return b"%" in key or b"+" in key


def _escaped(key: bytes) -> bytes:
    return escape(key.decode(errors="surrogateescape"), {"\r": "&#13;", "\n": "&#10;"}).encode(
        errors="surrogateescape"
    )


def _named(key: bytes, version: bytes) -> bytes:
    if not version:
        return b"<Object><Key>%b</Key></Object>" % key
    return b"<Object><Key>%b</Key><VersionId>%b</VersionId></Object>" % (key, version)


def _refused(item: dict[str, Any]) -> bytes:
    return _named(_escaped(str(item["Key"]).encode()), str(item.get("VersionId") or "").encode())
