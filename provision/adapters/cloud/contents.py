"""How much lies in a bucket."""

from __future__ import annotations

from typing import Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.model.usage import Contents

_MOST_PAGES: Final = 30  # of 1,000 versions: some seconds


def contents(cloud: Cloud, bucket: str, account: str) -> Contents:
    """All versions and their bytes, counted up to some ten thousand; nothing without a bucket."""
    pages = cloud.client("s3").get_paginator("list_object_versions")
    number = size = 0
    last = ""
    with explained(cloud, f"look into the bucket {bucket}"):
        try:
            listed = pages.paginate(Bucket=bucket, ExpectedBucketOwner=account)
            for count, page in enumerate(listed):
                if count == _MOST_PAGES:
                    return Contents(number, size, last, more=True)
                for item in page.get("Versions", ()):
                    number, size = number + 1, size + int(item["Size"])
                    last = max(last, item["LastModified"].isoformat(timespec="seconds"))
        except Exception as error:
            if code_of(error) not in ("NoSuchBucket", "404"):
                raise
    return Contents(number, size, last)
