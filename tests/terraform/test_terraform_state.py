"""A shared state: the bucket that the state stack makes, with S3's own lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.state_bucket import state_bucket
from tests.terraform.emulation import EmulatedAws
from tests.terraform.program import REGION, Workspace, needs_terraform
from tests.terraform.readme import example

pytestmark = [needs_terraform, pytest.mark.slow]
KEY = "churn/terraform.tfstate"
# Only the emulation needs these: a made-up account, and buckets in the path instead of the host.
EMULATED = ("use_path_style", "skip_credentials_validation", "skip_requesting_account_id")


def test_a_second_person_is_kept_out_while_the_first_one_writes(
    aws: EmulatedAws, stack: Callable[[str], Workspace], tmp_path: Path
) -> None:
    state = stack("state")
    values = example(Path(__file__).parents[2] / "terraform/stacks/state")
    (state.root / "terraform.tfvars").write_text(values, encoding="utf-8")
    state.ok("apply", "-auto-approve")
    backend = json.loads(state.ok("output", "-json", "backend"))
    shared = _root_with(backend, tmp_path, aws)
    shared.ok("apply", "-auto-approve")

    s3 = aws.client("s3")
    lock = {"ID": "1d4a", "Operation": "OperationTypeApply", "Who": "ana@laptop", "Path": KEY}
    s3.put_object(Bucket=backend["bucket"], Key=f"{KEY}.tflock", Body=json.dumps(lock).encode())
    refused = shared.run("apply", "-auto-approve", "-no-color")
    assert refused.code == 1
    assert "ana@laptop" in refused.err

    s3.delete_object(Bucket=backend["bucket"], Key=f"{KEY}.tflock")
    shared.ok("apply", "-auto-approve", "-replace=terraform_data.this")
    versions = s3.list_object_versions(Bucket=backend["bucket"], Prefix=KEY)["Versions"]
    kept = [v for v in versions if v["Key"] == KEY]
    assert len(kept) >= 2, "an older state must be there to go back to"


def test_a_second_laptop_finds_the_state_of_the_first(aws: EmulatedAws, tmp_path: Path) -> None:
    ids = []
    for laptop in ("first", "second"):
        cloud = Cloud(aws.environment, REGION)
        bucket = state_bucket(cloud, identity_of(cloud), "course")
        assert bucket.created == (laptop == "first")
        (tmp_path / laptop).mkdir()
        shared = _root_with(bucket.backend("churn"), tmp_path / laptop, aws)
        shared.ok("apply", "-auto-approve")
        (resource,) = json.loads(shared.ok("show", "-json"))["values"]["root_module"]["resources"]
        ids.append(resource["values"]["id"])
    assert ids[0] == ids[1]


def _root_with(backend: Mapping[str, Any], folder: Path, aws: EmulatedAws) -> Workspace:
    """A configuration without a provider, whose state lies in the bucket."""
    settings = {**backend, "key": KEY, **dict.fromkeys(EMULATED, True)}
    block = {
        "terraform": {"backend": {"s3": settings}},
        "resource": {"terraform_data": {"this": {}}},
    }
    (folder / "main.tf.json").write_text(json.dumps(block), encoding="utf-8")
    made = Workspace(folder, folder, {**aws.environment, "AWS_REGION": REGION})
    made.ok("init", "-input=false")
    return made
