"""A state on its way from this machine to a bucket and back, cut off at each point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.cloud import shared_state
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.terraform.door import Terraform
from provision.errors import ProvisionError, RefusedError
from provision.targets import aws_state
from provision.targets.aws_account import Opening
from provision.targets.aws_record import Access
from tests.progress import Quiet
from tests.terraform.door import door, up
from tests.terraform.emulation import EmulatedAws
from tests.terraform.program import REGION, needs_terraform

pytestmark = [needs_terraform, pytest.mark.slow]
BUCKET, KEY = "moving-state", "moving/terraform.tfstate"
EMULATED = dict.fromkeys(
    ("use_path_style", "skip_credentials_validation", "skip_requesting_account_id"), "true"
)
BACKEND = {"bucket": BUCKET, "key": KEY, "region": REGION, "use_lockfile": "true", **EMULATED}
_DATA = """
resource "terraform_data" "this" {
  input = 1
}
"""


@dataclass
class Moving:
    """One stack's folder, whose state lies in it and knows of one resource, and its account."""

    terraform: Terraform
    aws: EmulatedAws

    def move(self, wanted: dict[str, str] | None) -> None:
        """As `provision up` does it."""
        assert aws_state.is_elsewhere(self.terraform.root, wanted)
        aws_state.move(self.terraform.root, wanted, self._opening(), Quiet())
        self.terraform.init(wanted)

    def in_bucket(self) -> dict[str, Any] | None:
        s3 = self.aws.client("s3")
        try:
            return dict(json.loads(s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()))
        except s3.exceptions.NoSuchKey:
            return None

    def put(self, key: str, value: dict[str, Any]) -> None:
        self.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(value).encode())

    @property
    def here(self) -> dict[str, Any] | None:
        path = self.terraform.files.path
        return dict(json.loads(path.read_bytes())) if path.exists() else None

    @property
    def nothing_to_do(self) -> bool:
        made = self.terraform
        return not made.plan(made.write_variables({}), made.root / "plan")

    def _opening(self) -> Opening:
        cloud = Cloud(self.aws.environment, REGION)
        access = Access(self.aws.environment, self.aws.environment, backend=EMULATED)
        return Opening(access, identity_of(cloud), cloud)


def cut_off(*_: object) -> None:
    raise ProvisionError("gone", next_step="again")


@pytest.fixture
def moving(tmp_path: Path, aws: EmulatedAws) -> Iterator[Moving]:
    s3 = aws.client("s3")
    place = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    s3.create_bucket(Bucket=BUCKET, **place)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    made = door(tmp_path / "root", _DATA, **{**aws.environment, "AWS_REGION": REGION})
    up(made)
    yield Moving(made, aws)
    for kind in ("Versions", "DeleteMarkers"):
        for item in s3.list_object_versions(Bucket=BUCKET).get(kind, []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


def test_it_goes_to_the_bucket_and_comes_home_and_a_copy_stays_each_time(moving: Moving) -> None:
    first = moving.here
    assert first is not None
    moving.move(BACKEND)
    stored = moving.in_bucket()
    assert stored == first
    assert moving.here is None, "there is one place only"
    (aside,) = moving.terraform.root.glob("moved.tfstate*")
    assert json.loads(aside.read_bytes()) == first and aside.stat().st_mode & 0o077 == 0
    assert moving.nothing_to_do
    moving.terraform.init(BACKEND)
    assert aws_state.where_it_is(moving.terraform.root, {}) is not None

    moving.move(None)
    assert moving.in_bucket() is None
    listed = moving.aws.client("s3").list_object_versions(Bucket=BUCKET, Prefix=KEY)
    assert [v["Key"] for v in listed["Versions"]].count(KEY) >= 1, "the bucket keeps its versions"
    assert moving.here == first
    assert moving.terraform.files.newest_copy() is not None
    assert moving.nothing_to_do


@pytest.mark.parametrize("point", ["write_bytes", "remove"])
def test_a_move_to_the_bucket_that_was_cut_off_is_ended_by_the_next_one(
    moving: Moving, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Before the bucket has it, and after: then its lock could not be given back in peace."""
    before = moving.here
    with monkeypatch.context() as patch:
        module = aws_state if point == "write_bytes" else shared_state
        patch.setattr(module, point, cut_off)
        with pytest.raises(ProvisionError, match="gone"):
            moving.move(BACKEND)
    assert moving.here == before, "it is where it was"
    moving.aws.client("s3").delete_object(Bucket=BUCKET, Key=f"{KEY}.tflock")
    moving.move(BACKEND)
    assert moving.in_bucket() == before and moving.here is None
    assert moving.nothing_to_do


def test_a_move_home_that_was_cut_off_is_ended_by_the_next_one(
    moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.move(BACKEND)
    with monkeypatch.context() as patch:
        patch.setattr(aws_state, "remove", cut_off)
        with pytest.raises(ProvisionError, match="gone"):
            moving.move(None)
    assert moving.in_bucket() is not None and moving.here is not None, "it is never in no place"
    moving.move(None)
    assert moving.in_bucket() is None and moving.nothing_to_do


def test_a_state_that_somebody_works_on_stays(moving: Moving) -> None:
    moving.move(BACKEND)
    lock = {"ID": "1d4a", "Operation": "OperationTypeApply", "Who": "ben@desk", "Created": "now"}
    moving.put(f"{KEY}.tflock", lock)
    with pytest.raises(RefusedError, match=r"ben@desk \(apply since now\) works on the shared"):
        moving.move(None)
    assert moving.in_bucket() is not None and moving.here is None


@pytest.mark.parametrize("theirs", [{"lineage": "another"}, {"serial": 99}], ids=min)
def test_a_place_with_another_state_is_refused(moving: Moving, theirs: dict[str, Any]) -> None:
    before = moving.here
    assert before is not None
    moving.put(KEY, before | theirs)
    with pytest.raises(RefusedError, match="holds another state than this machine"):
        moving.move(BACKEND)
    assert moving.here == before and moving.in_bucket() == before | theirs
    assert moving.nothing_to_do, "and what is here still works"


def test_what_a_stack_left_that_was_taken_down_is_in_nobodys_way(moving: Moving) -> None:
    before = moving.here
    assert before is not None
    moving.put(KEY, before | {"lineage": "another", "resources": []})
    moving.move(BACKEND)
    assert moving.in_bucket() == before and moving.nothing_to_do
