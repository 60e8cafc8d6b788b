"""`provision unlock` where the state is shared: the lock is an object in its bucket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.accounts import Accounts
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.state_bucket import state_bucket
from provision.adapters.terraform import owner
from provision.adapters.wheels import WheelCache
from provision.errors import RefusedError
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.targets.aws import AwsTarget
from provision.targets.aws_host import AwsHost
from provision.targets.aws_lock import AwsLock
from provision.targets.aws_record import AwsPaths
from provision.targets.base import UpOptions
from provision.wiring import ask_beside
from tests.progress import Quiet
from tests.terraform.emulation import EmulatedAws
from tests.terraform.program import REGION, environment, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
KEY = "churn/terraform.tfstate.tflock"
LOCK = {
    "ID": "1d4a0000-0000-0000-0000-000000000000",
    "Operation": "OperationTypeApply",
    "Who": "ana@her-laptop",
    "Created": "2026-11-21T07:00:00Z",
}


@pytest.fixture
def seen(tmp_path: Path, aws: EmulatedAws) -> dict[str, str]:
    return environment(tmp_path) | aws.environment


@pytest.fixture
def target(tmp_path: Path, seen: dict[str, str]) -> AwsTarget:
    """A second laptop: it has the spec, and nothing of the stack on its disk."""
    spec = Spec.model_validate(
        {
            "name": "churn",
            "target": "aws",
            "aws": {"region": REGION, "state": "s3", "state_name": "unlock"},
        }
    )
    layout = Layout.below(tmp_path / ".provision", "churn")
    connect = Accounts(tmp_path / "emulator", "", seen, REGION)
    cache = WheelCache(tmp_path / "cache", "", {})
    host = AwsHost(spec, AwsPaths.below(layout.root), cache, "")
    return AwsTarget(
        spec,
        tmp_path / "provision.yaml",
        layout,
        connect,
        host=host,
        now=lambda: "2026-11-27T12:00:00+00:00",
        ask=ask_beside,
    )


@pytest.fixture
def bucket(aws: EmulatedAws, seen: dict[str, str]) -> Iterator[str]:
    """The bucket of shared states, which the first laptop has made."""
    cloud = Cloud(seen, REGION)
    name = state_bucket(cloud, identity_of(cloud), "unlock", None).bucket
    yield name
    s3 = aws.client("s3")
    for kind in ("Versions", "DeleteMarkers"):
        for item in s3.list_object_versions(Bucket=name).get(kind, []):
            s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=name)


def locked(aws: EmulatedAws, bucket: str, **more: str) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=KEY, Body=json.dumps(LOCK | more).encode())


def test_without_the_bucket_nothing_is_locked(target: AwsTarget) -> None:
    assert target.state_lock().holder() is None


def test_another_laptops_lock_is_shown_and_removed(
    aws: EmulatedAws, target: AwsTarget, bucket: str
) -> None:
    lock: AwsLock = target.state_lock()
    assert lock.holder() is None
    locked(aws, bucket)
    with pytest.raises(RefusedError, match="ana@her-laptop works on this stack") as error:
        target.plan(UpOptions(), Quiet())
    assert "provision unlock" in error.value.next_step
    held = lock.holder()
    assert held is not None
    assert (held.lock.who, held.lock.operation, held.lives) == ("ana@her-laptop", "apply", None)
    assert held.place == f"s3://{bucket}/{KEY}"
    lock.remove(held, Quiet())
    assert lock.holder() is None


def test_a_process_on_this_machine_is_looked_for(
    tmp_path: Path, aws: EmulatedAws, target: AwsTarget, bucket: str
) -> None:
    locked(aws, bucket, Who=f"ana@{socket.gethostname()}")
    root = tmp_path / ".provision/churn/aws/terraform/stacks/tracking"
    root.mkdir(parents=True)
    with owner.recorded(root, 1, ["terraform", "apply"]):
        held = target.state_lock().holder()
        assert held is not None and held.lives is True
        with pytest.raises(RefusedError, match="still works on this stack"):
            target.state_lock().remove(held, Quiet())
    assert target.state_lock().holder() is not None
