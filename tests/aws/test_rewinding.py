"""A versioned bucket, and a database's snapshots, brought back to a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from provision.adapters.cloud import rewinding, snapshots
from provision.adapters.cloud.objects import Bucket
from provision.adapters.cloud.rewinding import has_changed, noncurrent_days, rewind
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, UsageError
from provision.model.rewound import Rewound
from tests.aws.stack import REGION
from tests.terraform.emulation import ACCOUNT, EmulatedAws, emulated_aws

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rewinding")]
BUCKET = Bucket("kept", ACCOUNT)
PREFIX = "artifacts/"


@pytest.fixture(scope="module")
def aws() -> Any:
    with emulated_aws(REGION) as account:
        yield account


@pytest.fixture(scope="module")
def cloud(aws: EmulatedAws) -> Cloud:
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return Cloud(aws.environment | files, REGION, attempts=1)


@pytest.fixture
def s3(aws: EmulatedAws) -> Iterator[Any]:
    """A versioned bucket, new for each test."""
    client = aws.client("s3")
    here = {"LocationConstraint": REGION}
    client.create_bucket(Bucket=BUCKET.name, CreateBucketConfiguration=here)
    client.put_bucket_versioning(Bucket=BUCKET.name, VersioningConfiguration={"Status": "Enabled"})
    yield client
    versions = client.list_object_versions(Bucket=BUCKET.name)
    for found in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        client.delete_object(Bucket=BUCKET.name, Key=found["Key"], VersionId=found["VersionId"])
    client.delete_bucket(Bucket=BUCKET.name)


def put(s3: Any, **objects: str) -> None:
    for name, text in objects.items():
        s3.put_object(Bucket=BUCKET.name, Key=f"{PREFIX}{name}", Body=text.encode())


def holds(s3: Any) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket=BUCKET.name).get("Contents", [])
    keys = [item["Key"] for item in found]
    return {k: s3.get_object(Bucket=BUCKET.name, Key=k)["Body"].read().decode() for k in keys}


def test_what_was_there_is_there_and_what_came_later_is_hidden(
    s3: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert noncurrent_days(cloud, BUCKET) is None
    monkeypatch.setattr(rewinding, "_BATCH", 2)
    put(s3, same="1", changed="1", removed="1", twice="1", gone_before="1")
    time.sleep(1.1)  # S3 keeps whole seconds
    s3.delete_object(Bucket=BUCKET.name, Key=f"{PREFIX}gone_before")
    time.sleep(1.1)
    moment = datetime.now(UTC)
    time.sleep(1.1)
    put(s3, changed="2", twice="2", later="2", gone_before="2")
    put(s3, twice="3")
    time.sleep(1.1)
    for name in ("removed", "twice"):
        s3.delete_object(Bucket=BUCKET.name, Key=f"{PREFIX}{name}")
    s3.put_object(Bucket=BUCKET.name, Key="provision/later", Body=b"not an artifact")
    now = holds(s3)
    time.sleep(1.1)
    afterwards = datetime.now(UTC)
    time.sleep(1.1)

    assert has_changed(cloud, BUCKET, PREFIX, moment)
    assert not has_changed(cloud, BUCKET, PREFIX, afterwards)
    seen: list[Rewound] = []
    done = rewind(cloud, BUCKET, PREFIX, moment, seen.append)
    assert done == Rewound(restored=3, bytes=3, hidden=2) == seen[-1]
    then = {f"{PREFIX}{name}": "1" for name in ("same", "changed", "removed", "twice")}
    assert holds(s3) == then | {"provision/later": "not an artifact"}

    again = rewind(cloud, BUCKET, PREFIX, moment)
    assert again.hidden == 0 and holds(s3) == then | {"provision/later": "not an artifact"}
    # Nothing was deleted: the way back can be gone back.
    rewind(cloud, BUCKET, PREFIX, afterwards)
    assert holds(s3) == now


def test_the_rule_that_forgets_old_versions_is_read(s3: Any, cloud: Cloud) -> None:
    rule = {"ID": "x", "Status": "Enabled", "Filter": {}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET.name,
        LifecycleConfiguration={
            "Rules": [rule | {"NoncurrentVersionExpiration": {"NoncurrentDays": 7}}]
        },
    )
    assert noncurrent_days(cloud, BUCKET) == 7


def test_snapshots_carry_the_databases_tags_and_ours(aws: EmulatedAws, cloud: Cloud) -> None:
    aws.client("rds").create_db_instance(
        DBInstanceIdentifier="db", Engine="postgres", DBInstanceClass="db.t4g.micro",
        MasterUsername="admin", MasterUserPassword="long-enough", AllocatedStorage=20,
        Tags=[{"Key": "provision:run", "Value": "r-1"}],
    )  # fmt: skip
    before = snapshots.resource_of(cloud, "db")
    snapshots.take(cloud, "db", "db-one", {"provision:mlflow": "3.17.2"})
    snapshots.until_ready(cloud, "db-one")
    (found,) = snapshots.snapshots_of(cloud, "db")
    assert found.is_ready and found.at is not None and found.gib == 20
    assert found.tags == {"provision:run": "r-1", "provision:mlflow": "3.17.2"}
    with pytest.raises(UsageError, match="a snapshot db-one already"):
        snapshots.take(cloud, "db", "db-one", {})
    with pytest.raises(MissingError, match="is not there"):
        snapshots.take(cloud, "nobody", "nobody-one", {})
    assert before and snapshots.resource_of(cloud, "nobody") == ""
    snapshots.until_gone(cloud, "nobody")
    snapshots.delete(cloud, "db-one")
    assert snapshots.snapshots_of(cloud, "db") == []
