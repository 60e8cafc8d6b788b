"""A state in the shared bucket, without Terraform: read by a second laptop, or taken home."""

from __future__ import annotations

import getpass
import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError, RefusedError
from provision.model.account import Identity
from provision.model.leftovers import bucket_name
from provision.model.terraform_lock import parse_lock

# S3, PutObject with If-None-Match: somebody else was first, or is writing at this moment.
_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
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
    text = read_bytes(cloud, me, bucket, key)
    if text is None:
        return None
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


def read_bytes(cloud: Cloud, me: Identity, bucket: str, key: str) -> bytes | None:
    """The object at `key`; `None` where there is no such bucket or object."""
    with explained(cloud, f"read {key} in the bucket {bucket}"):
        try:
            answer = cloud.client("s3").get_object(
                Bucket=bucket, Key=key, ExpectedBucketOwner=me.account
            )
            content: bytes = answer["Body"].read()
        except Exception as error:
            if code_of(error) in _ABSENT:
                return None
            raise
    return content


def write_bytes(cloud: Cloud, me: Identity, bucket: str, key: str, content: bytes) -> None:
    """Write the object at `key`; the bucket encrypts it as it is set to."""
    owned = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": me.account}
    with explained(cloud, f"write {key} in the bucket {bucket}"):
        cloud.client("s3").put_object(**owned, Body=content, ContentType="application/json")


def remove(cloud: Cloud, me: Identity, bucket: str, key: str) -> None:
    """Remove the object at `key`; the bucket keeps its versions."""
    with explained(cloud, f"remove {key} in the bucket {bucket}"):
        cloud.client("s3").delete_object(Bucket=bucket, Key=key, ExpectedBucketOwner=me.account)


@contextmanager
def held(cloud: Cloud, me: Identity, bucket: str, key: str, operation: str) -> Iterator[None]:
    """Hold the lock of the state at `key`, as Terraform takes it (`use_lockfile`).

    Raises `RefusedError` naming who holds it.
    """
    lock = f"{key}.tflock"
    owned = {"Bucket": bucket, "Key": lock, "ExpectedBucketOwner": me.account}
    with explained(cloud, f"take the lock {lock} in the bucket {bucket}"):
        try:
            cloud.client("s3").put_object(**owned, Body=_lock(key, operation), IfNoneMatch="*")
        except Exception as error:
            if code_of(error) in _TAKEN:
                raise _locked(read_bytes(cloud, me, bucket, lock)) from error
            raise
    try:
        yield
    finally:
        remove(cloud, me, bucket, lock)


def _lock(key: str, operation: str) -> bytes:
    return json.dumps(
        {
            "ID": str(uuid.uuid4()),
            "Operation": operation,
            "Who": f"{getpass.getuser()}@{socket.gethostname()}",
            "Created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "Path": key,
        }
    ).encode()


def _locked(content: bytes | None) -> RefusedError:
    lock = parse_lock(content) if content else None
    who = f"{lock.who} ({lock.operation} since {lock.created})" if lock else "somebody"
    return RefusedError(
        f"{who} works on the shared state of this stack; nothing was changed",
        next_step="wait until that command has ended; provision unlock shows who it is",
    )


def has_shared(cloud: Cloud, me: Identity, name: str) -> bool:
    """Whether the bucket for the states of `name` is there."""
    bucket = shared_bucket(me, name)
    with explained(cloud, f"look for the bucket {bucket}"):
        try:
            cloud.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=me.account)
        except Exception as error:
            if code_of(error) in _ABSENT:
                return False
            raise
    return True
