"""Empty a versioned bucket: every version, every delete marker, every unfinished upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError

_AT_ONCE: Final = 8
_GONE: Final = frozenset({"NoSuchBucket", "404"})


def empty_bucket(
    cloud: Cloud, bucket: str, account: str, on_progress: Callable[[int], None] = lambda _: None
) -> int:
    """Delete all that is in a bucket of this account for good; returns how many versions went.

    The caller has asked. A bucket that is not there is empty. Safe to repeat and to interrupt.
    Raises `ProvisionError` naming the first object that S3 would not delete (an object lock, say).
    """
    owner = {"Bucket": bucket, "ExpectedBucketOwner": account}
    s3 = cloud.client("s3")
    gone = 0
    with explained(cloud, f"empty the bucket {bucket}"), ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            # A page holds at most as many keys as one call may delete: 1,000 (S3 API reference).
            for batch in pool.map(lambda page: _delete(s3, owner, page), _pages(s3, owner)):
                gone += batch
                on_progress(gone)
            _abort_uploads(s3, owner)
        except Exception as error:
            if code_of(error) not in _GONE:
                raise
    return gone


def _pages(s3: Any, owner: dict[str, str]) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(**owner):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            yield [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


def _delete(s3: Any, owner: dict[str, str], keys: Sequence[dict[str, str]]) -> int:
    answer = s3.delete_objects(**owner, Delete={"Objects": list(keys), "Quiet": True})
    refused = answer.get("Errors") or []
    if refused:
        first = refused[0]
        raise ProvisionError(
            f"S3 would not delete {first.get('Key')} in {owner['Bucket']}: {first.get('Message')}",
            next_step="remove what holds it (an object lock or a legal hold), then run this again",
        )
    return len(keys)


def _abort_uploads(s3: Any, owner: dict[str, str]) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(**owner):
        for upload in page.get("Uploads", ()):
            s3.abort_multipart_upload(**owner, Key=upload["Key"], UploadId=upload["UploadId"])
