"""A state in the shared bucket, read without Terraform: what a second laptop starts from."""

from __future__ import annotations

import json
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.account import Identity
from provision.model.leftovers import bucket_name

_ABSENT: Final = frozenset({"NoSuchBucket", "NoSuchKey", "404"})


def shared_bucket(me: Identity, name: str) -> str:
    """The name of the bucket for the states of `name`."""
    return bucket_name(f"provision-{name}-state", me.account, me.region)


def read_shared(cloud: Cloud, me: Identity, name: str, key: str) -> dict[str, Any] | None:
    """The JSON object at `key` in that bucket; `None` where there is no such bucket or object.

    The state (`STACK/terraform.tfstate`) is Terraform's format 4; its lock lies beside it with the
    suffix `.tflock`. Raises `ProvisionError` where the object is something else.
    """
    bucket = shared_bucket(me, name)
    with explained(cloud, f"read {key} in the bucket {bucket}"):
        try:
            answer = cloud.client("s3").get_object(
                Bucket=bucket, Key=key, ExpectedBucketOwner=me.account
            )
            text = answer["Body"].read()
        except Exception as error:
            if code_of(error) in _ABSENT:
                return None
            raise
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProvisionError(
            f"s3://{bucket}/{key} is not what Terraform writes",
            next_step="restore its last good version (the bucket keeps versions), then try again",
        )
    return value
