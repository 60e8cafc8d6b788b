"""The part of the stack's bucket that is not MLflow's: the host's program, and what the host tells.

All calls name the account that the bucket has to belong to: a bucket of that name in another one is
neither read nor written.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud

Content = bytes | Path
"""What an object holds: bytes, or a file too large to keep in memory."""

_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_AT_ONCE: Final = 6
_DIGEST: Final = "sha256"


class Bucket(NamedTuple):
    """A bucket, and the account that it has to belong to (12 digits)."""

    name: str
    account: str

    @property
    def owned(self) -> dict[str, str]:
        """The arguments that name both in a call of S3's."""
        return {"Bucket": self.name, "ExpectedBucketOwner": self.account}


def read_object(cloud: Cloud, bucket: Bucket, key: str) -> bytes | None:
    """An object's content; `None` where there is no such object, or no such bucket."""
    with explained(cloud, f"read {key} in the bucket {bucket.name}"):
        try:
            answer = cloud.client("s3").get_object(**bucket.owned, Key=key)
        except Exception as error:
            if code_of(error) in _ABSENT:
                return None
            raise
        content: bytes = answer["Body"].read()
        return content


def has_object(cloud: Cloud, bucket: Bucket, key: str) -> bool:
    """Whether there is such an object."""
    with explained(cloud, f"look for {key} in the bucket {bucket.name}"):
        return _there(cloud, bucket, key) is not None


def keys_below(cloud: Cloud, bucket: Bucket, prefix: str) -> list[str]:
    """The keys that begin so, in their order; none where there is no such bucket."""
    with explained(cloud, f"look at {prefix} in the bucket {bucket.name}"):
        pages = cloud.client("s3").get_paginator("list_objects_v2")
        try:
            found = list(pages.paginate(**bucket.owned, Prefix=prefix))
        except Exception as error:
            if code_of(error) in _ABSENT:
                return []
            raise
    return [item["Key"] for page in found for item in page.get("Contents", ())]


def put_changed(
    cloud: Cloud,
    bucket: Bucket,
    objects: Mapping[str, Content],
    on_done: Callable[[str], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write the objects whose content the bucket does not hold yet; returns their keys, sorted.

    What S3 holds is judged by the SHA-256 and the size that it keeps with an object; S3 refuses an
    upload that arrives as something else (AWS, S3 user guide, "Checking object integrity").
    """

    def put(item: tuple[str, Content]) -> str | None:
        key, content = item
        digest = sha256(content)
        changed = _there(cloud, bucket, key) != (digest, size(content))
        if changed:
            _put(cloud, bucket, key, content, digest)
        on_done(key)
        return key if changed else None

    with (
        explained(cloud, f"write to the bucket {bucket.name}"),
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        return tuple(sorted(key for key in pool.map(put, objects.items()) if key))


def sha256(content: Content) -> str:
    """Its SHA-256 in hexadecimal."""
    with _opened(content) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size(content: Content) -> int:
    """Its bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _put(cloud: Cloud, bucket: Bucket, key: str, content: Content, digest: str) -> None:
    with _opened(content) as stream:
        cloud.client("s3").put_object(
            **bucket.owned,
            Key=key,
            Body=stream,
            Metadata={_DIGEST: digest},
            ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode("ascii"),
        )


def _there(cloud: Cloud, bucket: Bucket, key: str) -> tuple[str, int] | None:
    """Digest and size of what the bucket holds."""
    try:
        answer = cloud.client("s3").head_object(**bucket.owned, Key=key)
    except Exception as error:
        if code_of(error) in _ABSENT:
            return None
        raise
    return str(answer["Metadata"].get(_DIGEST)), int(answer["ContentLength"])


@contextmanager
def _opened(content: Content) -> Iterator[io.BytesIO | io.BufferedReader]:
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        yield stream
