"""A versioned bucket brought back to what it held at a moment, without losing what it holds now.

Nothing is deleted: what came later gets a delete marker, what was there then becomes the newest
version again. So this can be undone the same way, for as long as the bucket keeps old versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.objects import Bucket
from provision.adapters.cloud.session import Cloud
from provision.model.rewound import Rewound

_AT_ONCE: Final = 16
_BATCH: Final = 1000
_LARGEST: Final = 5 << 30  # that one CopyObject takes (S3 API reference)
# S3 keeps times in whole seconds: a deletion of that very second may have come after the moment
# (or before an upload of the same second), and in doubt the object was there.
_DOUBT: Final = timedelta(seconds=1)
_NO_RULES: Final = "NoSuchLifecycleConfiguration"

OnProgress = Callable[[Rewound], None]


@dataclass(frozen=True)
class _Version:
    """One version of an object, or one delete marker."""

    key: str
    id: str
    at: datetime
    latest: bool
    deleted: bool
    size: int = 0


def rewind(
    cloud: Cloud,
    bucket: Bucket,
    prefix: str,
    moment: datetime,
    on_progress: OnProgress = lambda _: None,
) -> Rewound:
    """Let everything below `prefix` be as it was at `moment`. Safe to repeat and to interrupt.

    What has no version of that time any more, since the bucket has forgotten it, stays away.
    """
    done = Rewound()
    with (
        explained(cloud, f"bring the bucket {bucket.name} back"),
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        s3 = cloud.client("s3")
        steps = _steps(s3, bucket, prefix, moment)
        while batch := list(islice(steps, _BATCH)):
            for one in pool.map(lambda step: _do(s3, bucket, step), batch):
                done += one
            on_progress(done)
    return done


def has_changed(cloud: Cloud, bucket: Bucket, prefix: str, moment: datetime) -> bool:
    """Whether something below `prefix` is not as it was at `moment`."""
    with explained(cloud, f"look at the versions in the bucket {bucket.name}"):
        return next(_steps(cloud.client("s3"), bucket, prefix, moment), None) is not None


def _steps(
    s3: Any, bucket: Bucket, prefix: str, moment: datetime
) -> Iterator[tuple[_Version, _Version | None]]:
    """What differs: the version that counts now, and the one that is to count; `None` for none."""
    for versions in _by_key(s3, bucket, prefix):
        now = next((v for v in versions if v.latest), versions[0])
        then = next((v for v in versions if _was_there(v, moment)), None)
        wanted = None if then is None or then.deleted else then
        if wanted is None and not now.deleted:
            yield now, None
        elif wanted is not None and wanted.id != now.id:
            yield now, wanted


def _was_there(version: _Version, moment: datetime) -> bool:
    return version.at <= (moment - _DOUBT if version.deleted else moment)


def _by_key(s3: Any, bucket: Bucket, prefix: str) -> Iterator[list[_Version]]:
    """All versions of one key after the other, the newest first; S3 lists keys in their order."""
    held: list[_Version] = []
    pages = s3.get_paginator("list_object_versions").paginate(**bucket.owned, Prefix=prefix)
    for page in pages:
        found = chain(_listed(page, "Versions"), _listed(page, "DeleteMarkers"))
        # Sorting is stable: of one second, an object comes before its deletion.
        for version in sorted(found, key=lambda v: v.key):
            if held and held[0].key != version.key:
                yield _newest_first(held)
                held = []
            held.append(version)
    if held:
        yield _newest_first(held)


def _newest_first(versions: list[_Version]) -> list[_Version]:
    return sorted(versions, key=lambda v: (v.latest, v.at), reverse=True)


def _listed(page: Mapping[str, Any], kind: str) -> Iterator[_Version]:
    for item in page.get(kind) or ():
        yield _Version(
            item["Key"], item["VersionId"], item["LastModified"], bool(item["IsLatest"]),
            kind == "DeleteMarkers", int(item.get("Size", 0)),
        )  # fmt: skip


def _do(s3: Any, bucket: Bucket, step: tuple[_Version, _Version | None]) -> Rewound:
    now, wanted = step
    if wanted is None:
        s3.delete_object(**bucket.owned, Key=now.key)
        return Rewound(hidden=1)
    source = {"Bucket": bucket.name, "Key": wanted.key, "VersionId": wanted.id}
    if wanted.size < _LARGEST:
        s3.copy_object(**bucket.owned, Key=wanted.key, CopySource=source)
    else:
        _copy_in_parts(s3, source, bucket, wanted.key)
    return Rewound(restored=1, bytes=wanted.size)


def _copy_in_parts(s3: Any, source: dict[str, str], bucket: Bucket, key: str) -> None:
    from s3transfer.manager import TransferManager  # noqa: PLC0415 - few have such objects

    owner = {"ExpectedBucketOwner": bucket.account}
    with TransferManager(s3) as manager:
        manager.copy(source, bucket.name, key, extra_args=owner).result()


def noncurrent_days(cloud: Cloud, bucket: Bucket) -> int | None:
    """For how many days the bucket keeps what was overwritten or deleted; `None` for ever."""
    with explained(cloud, f"look at the rules of the bucket {bucket.name}"):
        try:
            found = cloud.client("s3").get_bucket_lifecycle_configuration(**bucket.owned)
        except Exception as error:
            if code_of(error) == _NO_RULES:
                return None
            raise
    days = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in found.get("Rules", [])
        if rule["Status"] == "Enabled" and "NoncurrentVersionExpiration" in rule
    ]
    return min(days, default=None)
