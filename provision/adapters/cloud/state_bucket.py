"""The bucket that holds shared states, made before Terraform can keep a state anywhere.

By the API and not by `terraform/stacks/state`: that root has a state of its own, on one laptop, and
a second laptop would want to make the bucket again. Name and settings are those of that root, so
that a team which made it there is served by this as it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import RefusedError
from provision.model.account import Identity
from provision.model.leftovers import STACK_TAG, bucket_name

# Each lock leaves a version and a marker behind; each apply, a state to go back to.
_KEEP_DAYS: Final = 90
_TAKEN: Final = {"BucketAlreadyExists", "403", "AccessDenied"}
_ATTEMPTS: Final = 20
_OURS: Final = "BucketAlreadyOwnedByYou"
_NOT_SET: Final = {
    "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchTagSet",
    "NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
}  # fmt: skip


@dataclass(frozen=True)
class StateBucket:
    """The bucket, whether this call made it, and which of its settings this call put right."""

    bucket: str
    region: str
    created: bool
    mended: tuple[str, ...]
    kms_key_arn: str | None = None

    def backend(self, stack: str) -> dict[str, str | bool]:
        """The settings of a `backend "s3"` block for one stack; S3 keeps the lock as well."""
        settings: dict[str, str | bool] = {
            "bucket": self.bucket,
            "key": f"{stack}/terraform.tfstate",
            "region": self.region,
            "encrypt": True,
            "use_lockfile": True,
        }
        return settings | ({"kms_key_id": self.kms_key_arn} if self.kms_key_arn else {})


@dataclass(frozen=True)
class _Setting:
    """One setting of a bucket: how it is read, what has to be in it, and how it is written."""

    name: str
    operation: str
    key: str
    wanted: Any
    put: Callable[[Any], Mapping[str, Any]]


def state_bucket(
    cloud: Cloud, me: Identity, name: str, kms_key_arn: str | None = None
) -> StateBucket:
    """Make sure that the bucket for the states of `name` is there and safe.

    Versioned, encrypted, closed to the public, TLS only, with rules for old versions. Does only
    what is missing, so it may run on any number of laptops, at the same time too; on a bucket that
    is right it only reads. Raises `RefusedError` where the name belongs to another account.
    """
    bucket = bucket_name(f"provision-{name}-state", me.account, me.region)
    with explained(cloud, f"prepare the bucket for shared states {bucket}"):
        created = _ensure(cloud, me, bucket)
        settings = _settings(bucket, me.partition, f"{name}-state", kms_key_arn)
        mended = tuple(s.name for s in settings if _mend(cloud, me, bucket, s))
    return StateBucket(bucket, me.region, created, () if created else mended, kms_key_arn)


def _ensure(cloud: Cloud, me: Identity, bucket: str) -> bool:
    """Whether it had to be made."""
    s3 = cloud.client("s3")
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=me.account)
    except Exception as error:
        if code_of(error) in _TAKEN:
            raise _taken(bucket, me) from error
        if code_of(error) not in ("404", "NoSuchBucket"):
            raise
    else:
        return False
    return _create(s3, me, bucket)


def _create(s3: Any, me: Identity, bucket: str) -> bool:
    # S3 refuses its first region as a place (AWS, CreateBucket: LocationConstraint).
    place = {"CreateBucketConfiguration": {"LocationConstraint": me.region}}
    try:
        s3.create_bucket(Bucket=bucket, **({} if me.region == "us-east-1" else place))
    except Exception as error:
        if code_of(error) == _OURS:  # another laptop was quicker
            return False
        if code_of(error) == "BucketAlreadyExists":
            raise _taken(bucket, me) from error
        raise
    return True


def _taken(bucket: str, me: Identity) -> RefusedError:
    return RefusedError(
        f"the bucket {bucket} belongs to another account, or these credentials of account "
        f"{me.account} may not use it: no state goes there",
        next_step="ask the account's administrator for s3:ListBucket on it, or choose another name "
        "for the shared states in the spec",
    )


def _mend(cloud: Cloud, me: Identity, bucket: str, setting: _Setting) -> bool:
    """Put a setting right; returns whether it was wrong."""
    s3 = cloud.client("s3")
    owner = {"Bucket": bucket, "ExpectedBucketOwner": me.account}
    found = _read(s3, f"get_{setting.operation}", setting.key, owner)
    if covers(found, setting.wanted):
        return False
    write = getattr(s3, f"put_{setting.operation}")
    _again_while_busy(lambda: write(**owner, **setting.put(found)))
    return True


def _again_while_busy(call: Callable[[], Any]) -> None:
    """S3 refuses two changes to one bucket at the same moment: another laptop may be at it."""
    for _ in range(_ATTEMPTS):
        try:
            call()
        except Exception as error:
            if code_of(error) != "OperationAborted":
                raise
            time.sleep(1)
        else:
            return
    call()


def _read(s3: Any, operation: str, key: str, owner: Mapping[str, str]) -> Any:
    try:
        value = getattr(s3, operation)(**owner).get(key)
    except Exception as error:
        if code_of(error) in _NOT_SET:
            return None
        raise
    return json.loads(value) if key == "Policy" else value


def covers(found: Any, wanted: Any) -> bool:
    """Whether a setting says at least what is wanted; what a team added to it is its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(covers(found.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(covers(f, w) for f in found) for w in wanted)
    return bool(found == wanted)


def merged(found: Sequence[Any] | None, wanted: Sequence[Any], key: str) -> list[Any]:
    """Both lists as one; ours replaces an item of the same `key`."""
    ours = {item[key] for item in wanted}
    return [item for item in found or [] if item.get(key) not in ours] + list(wanted)


def _settings(
    bucket: str, partition: str, stack: str, kms_key_arn: str | None
) -> tuple[_Setting, ...]:
    return (
        _public_access(),
        _ownership(),
        _policy(f"arn:{partition}:s3:::{bucket}"),
        _versioning(),
        _encryption(kms_key_arn),
        _lifecycle(),
        _tags(stack),
    )


def _public_access() -> _Setting:
    switches = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    value, key = dict.fromkeys(switches, True), "PublicAccessBlockConfiguration"
    return _Setting("public access", "public_access_block", key, value, lambda _: {key: value})


def _ownership() -> _Setting:
    value, key = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, "OwnershipControls"
    return _Setting("ownership", "bucket_ownership_controls", key, value, lambda _: {key: value})


def _versioning() -> _Setting:
    put = {"VersioningConfiguration": {"Status": "Enabled"}}
    return _Setting("versions", "bucket_versioning", "Status", "Enabled", lambda _: put)


def _encryption(kms_key_arn: str | None) -> _Setting:
    by = {"SSEAlgorithm": "aws:kms"} | ({"KMSMasterKeyID": kms_key_arn} if kms_key_arn else {})
    rule = {"ApplyServerSideEncryptionByDefault": by, "BucketKeyEnabled": True}
    value, key = {"Rules": [rule]}, "ServerSideEncryptionConfiguration"
    return _Setting("encryption", "bucket_encryption", key, value, lambda _: {key: value})


def _lifecycle() -> _Setting:
    rules = [
        {
            "ID": "old-versions-and-unfinished-uploads",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _KEEP_DAYS},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
    ]

    def put(found: Any) -> Mapping[str, Any]:
        return {"LifecycleConfiguration": {"Rules": merged(found, rules, "ID")}}

    return _Setting("lifecycle", "bucket_lifecycle_configuration", "Rules", rules, put)


def _tags(stack: str) -> _Setting:
    pairs = [{"Key": STACK_TAG, "Value": stack}]

    def put(found: Any) -> Mapping[str, Any]:
        return {"Tagging": {"TagSet": merged(found, pairs, "Key")}}

    return _Setting("tags", "bucket_tagging", "TagSet", pairs, put)


def _policy(arn: str) -> _Setting:
    """Refuses whatever does not come over TLS 1.2 or newer."""

    def deny(sid: str, condition: Mapping[str, Any]) -> dict[str, Any]:
        everything = {"Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
        return {"Sid": sid, "Effect": "Deny", **everything, "Condition": condition}

    ours = [
        deny("TlsOnly", {"Bool": {"aws:SecureTransport": "false"}}),
        deny("NoOldTls", {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
    ]

    def put(found: Any) -> Mapping[str, Any]:
        statements = merged((found or {}).get("Statement"), ours, "Sid")
        return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statements})}

    return _Setting("policy", "bucket_policy", "Policy", {"Statement": ours}, put)
