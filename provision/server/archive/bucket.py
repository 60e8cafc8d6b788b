"""The artifacts of a stack in an account: objects below `s3://BUCKET/artifacts`.

Many at a time, as S3 answers each only after tens of milliseconds; large ones in parts. Memory does
not grow with their number or their size.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from provision.errors import ProvisionError
from provision.server.archive.quick import SMALL, Quick
from provision.server.archive.sums import CHUNK, Facts, Fetched, of_file
from provision.server.locations import SCHEME

_AT_ONCE = 64
_LARGE = 32 << 20
_PART = 8 << 20
_PARTS_AT_ONCE = 8
_SENT_AT_ONCE = 4  # each is in memory while it is sent, several times over
_MOST_PARTS = 9_000  # S3 takes 10,000 (its user guide, "multipart upload limits")
_MOST_DELETED = 1000  # in one request (S3's API reference, DeleteObjects)
_DIGEST = "sha256"
_LONGEST_NAME = 255  # bytes of a file's name on Linux
_ABSENT = frozenset({"NoSuchKey", "404"})
_THERE = frozenset({"PreconditionFailed", "412"})
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Seen = Callable[[int], None]

# A large file has all connections for itself: many of them at once would take much memory.
_ONE_LARGE = threading.Lock()


class Bucket:
    """The part of a bucket that holds one stack's artifacts."""

    def __init__(self, uri: str, region: str, owner: str) -> None:
        parts = urlsplit(uri)
        self.uri = uri.rstrip("/")
        self._name, self._prefix = parts.netloc, parts.path.strip("/") + "/"
        # A bucket of that name in another account is neither read nor written.
        self._owned = {"Bucket": self._name, **({"ExpectedBucketOwner": owner} if owner else {})}
        self._s3 = _client(region)
        self._quick = Quick(self._s3, self._name, owner)

    def served(self, location: str) -> str | None:
        """What makes a location in it a served one, and says `None` to any other."""
        if location != self.uri and not location.startswith(self.uri + "/"):
            return None
        return SCHEME + location.removeprefix(self.uri).lstrip("/")

    def all(self, skipped: Callable[[object], None]) -> Iterator[Object]:
        """Every object as it is now; keys that are no path of a file are `skipped`."""
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(**self._owned, Prefix=self._prefix):
            for item in page.get("Contents", ()):
                name = item["Key"].removeprefix(self._prefix)
                if _is_path(name):
                    yield Object(self, name, Facts(item["Size"], _nanoseconds(item)))
                elif not name.endswith("/") or item["Size"]:
                    skipped(f"{self.uri}/{name}")

    def one(self, name: str) -> Object:
        """An object that is known to be there."""
        answer = self._s3.head_object(**self._owned, Key=self._prefix + name)
        return Object(self, name, Facts(answer["ContentLength"], _nanoseconds(answer)))

    def noted_digest(self, name: str) -> str:
        """The SHA-256 that was written down with an object; empty where none was."""
        answer = self._s3.head_object(**self._owned, Key=self._prefix + name)
        return str(answer["Metadata"].get(_DIGEST, ""))

    # -- folders --------------------------------------------------------------------------------

    def folders(self, name: str) -> list[str]:
        """The names of the folders in one; `""` is the whole part."""
        prefix = self._prefix + (f"{name}/" if name else "")
        pages = self._s3.get_paginator("list_objects_v2")
        return [
            found["Prefix"].removeprefix(prefix).rstrip("/")
            for page in pages.paginate(**self._owned, Prefix=prefix, Delimiter="/")
            for found in page.get("CommonPrefixes", ())
        ]

    def below(self, name: str) -> Iterator[tuple[str, int]]:
        """All objects below a folder, with their bytes."""
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(**self._owned, Prefix=f"{self._prefix}{name}/"):
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(self._prefix), item["Size"]

    def remove(self, name: str) -> None:
        """Delete all objects below a folder; in a bucket with versions these can be brought back.

        Raises `ProvisionError` with what S3 says of the first one that it refuses.
        """
        found = self.below(name)
        while keys := [{"Key": self._prefix + key} for key, _ in islice(found, _MOST_DELETED)]:
            answer = self._s3.delete_objects(**self._owned, Delete={"Objects": keys, "Quiet": True})
            for refused in answer.get("Errors", ()):
                raise ProvisionError(
                    f"S3 does not delete {refused['Key']}: {refused.get('Message')}",
                    next_step="run the same command again: it goes on where it stopped",
                )

    # -- reading --------------------------------------------------------------------------------

    def get(self, name: str, size: int, spare: Path, seen: Seen) -> Fetched | None:
        """An object's content into a file; `None` when it is gone."""
        where = {**self._owned, "Key": self._prefix + name}
        try:
            if size > _LARGE:
                with _ONE_LARGE:
                    return self._get_large(where, spare, seen)
            if size <= SMALL and (quick := self._quick.get(where["Key"], spare)):
                seen(quick.facts.size)
                return quick
            answer = self._s3.get_object(**where)
            digest = sha256()
            with spare.open("wb") as writing:
                for piece in answer["Body"].iter_chunks(CHUNK):
                    digest.update(piece)
                    writing.write(piece)
                    seen(len(piece))
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise
        return Fetched(digest.hexdigest(), Facts(answer["ContentLength"], _nanoseconds(answer)))

    def _get_large(self, where: dict[str, Any], spare: Path, seen: Seen) -> Fetched:
        """In parts, all of one and the same state of the object."""
        head = self._s3.head_object(**where)
        size, same = int(head["ContentLength"]), {"IfMatch": head["ETag"]}
        with spare.open("wb") as writing, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            writing.truncate(size)

            def get(start: int) -> None:
                end = min(start + _PART, size)
                answer = self._s3.get_object(**where, **same, Range=f"bytes={start}-{end - 1}")
                for piece in answer["Body"].iter_chunks(CHUNK):
                    start += os.pwrite(writing.fileno(), piece, start)
                    seen(len(piece))

            list(pool.map(get, range(0, size, _PART)))
        return Fetched(of_file(spare), Facts(size, _nanoseconds(head)))

    # -- writing --------------------------------------------------------------------------------

    def put(self, file: Path, name: str, digest: str, seen: Seen) -> bool:
        """Upload a file, and never over an object: returns whether one was there already.

        S3 refuses what arrives as something else than it was when it was hashed.
        """
        where = {**self._owned, "Key": self._prefix + name}
        size = file.stat().st_size
        try:
            if size > _LARGE:
                with _ONE_LARGE:
                    self._put_large(where, file, digest, seen)
            else:
                self._put_small(where, file, digest)
                seen(size)
        except ClientError as error:
            if _code(error) in _THERE:
                return True
            raise
        return False

    def remove_one(self, name: str) -> None:
        """Delete an object; a versioned bucket keeps what it was."""
        self._s3.delete_object(**self._owned, Key=self._prefix + name)

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, over another if need be."""
        self._s3.put_object(**self._owned, Key=self._prefix + name, Body=content)

    def upload(self, file: Path, name: str, seen: Seen) -> None:
        """A file of ours, which nobody else has put there."""
        self.put(file, name, of_file(file), seen)

    def download(self, name: str, file: Path, seen: Seen) -> bool:
        """The way back, checked; returns whether it was there."""
        try:
            there = self.one(name)
        except ClientError as error:
            if _code(error) in _ABSENT:
                return False
            raise
        fetched = there.fetch(file, seen)
        if fetched is None or fetched.digest != self.noted_digest(name):
            raise ProvisionError(
                f"{self.uri}/{name} did not arrive as it was sent",
                next_step="run the same command again",
            )
        return True

    def _put_small(self, where: dict[str, Any], file: Path, digest: str) -> None:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size <= SMALL:
                if self._quick.put(where["Key"], stream.read(), digest):
                    return
                stream.seek(0)
            self._s3.put_object(
                **where, Body=stream, IfNoneMatch="*", Metadata={_DIGEST: digest},
                ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode("ascii"),
            )  # fmt: skip

    def _put_large(self, where: dict[str, Any], file: Path, digest: str, seen: Seen) -> None:
        begun = self._s3.create_multipart_upload(
            **where, Metadata={_DIGEST: digest}, ChecksumAlgorithm="SHA256"
        )
        upload = {**where, "UploadId": begun["UploadId"]}
        size = file.stat().st_size
        part = max(_PART, size // _MOST_PARTS)
        try:
            with ThreadPoolExecutor(_SENT_AT_ONCE) as pool:
                parts = list(
                    pool.map(
                        lambda number: self._put_part(upload, file, (number, part), seen),
                        range(1, -(-size // part) + 1),
                    )
                )
            self._s3.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            self._s3.abort_multipart_upload(**upload)
            raise

    def _put_part(
        self, upload: dict[str, Any], file: Path, which: tuple[int, int], seen: Seen
    ) -> dict[str, Any]:
        number, size = which
        with file.open("rb") as stream:
            stream.seek((number - 1) * size)
            content = stream.read(size)
        checksum = base64.b64encode(sha256(content).digest()).decode("ascii")
        answer = self._s3.upload_part(
            **upload, PartNumber=number, Body=content, ChecksumSHA256=checksum
        )
        seen(len(content))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


@dataclass(frozen=True)
class Object:
    """One artifact in a bucket."""

    bucket: Bucket
    name: str
    listed: Facts

    def facts(self) -> Facts:
        """Size and time as the listing has them."""
        return self.listed

    def fetch(self, spare: Path, seen: Seen) -> Fetched | None:
        """Its content into a file; `None` when it is gone."""
        return self.bucket.get(self.name, self.listed.size, spare, seen)


def _client(region: str) -> Any:
    here = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in _LOOPBACK
    settings = Config(
        max_pool_connections=_AT_ONCE + _PARTS_AT_ONCE,
        retries={"mode": "adaptive", "total_max_attempts": 8},
        # No proxy stands between this machine and itself.
        proxies={} if here else None,
        s3={"addressing_style": "path"} if here else None,
    )
    return boto3.client("s3", region_name=region or None, config=settings)


def _is_path(name: str) -> bool:
    """Whether a key can be a file's path below a folder."""
    parts = name.split("/")
    return (
        all(
            part not in ("", ".", "..") and len(os.fsencode(part)) <= _LONGEST_NAME
            for part in parts
        )
        and PurePosixPath(name).as_posix() == name
    )


def _nanoseconds(answer: dict[str, Any]) -> int:
    return int(answer["LastModified"].timestamp()) * 1_000_000_000


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
