"""The door with the real AWS provider, and an AWS that refuses, stalls and forgets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.failures import LockedError
from provision.adapters.terraform.watch import Limits, Watch
from provision.emulator import control
from provision.emulator.faults import Fault
from provision.errors import MissingError, ProvisionError
from tests.terraform.door import door, up
from tests.terraform.emulation import EmulatedAws
from tests.terraform.faulty_aws import (
    DENIED,
    EXPIRED,
    FORBIDDEN,
    NO_CAPACITY,
    QUOTA,
    STALLED,
    THROTTLED,
    Answer,
    FaultyAws,
    faulty_aws,
)
from tests.terraform.program import REGION, environment, needs_terraform
from tests.terraform.provider import VARIABLE

pytestmark = [needs_terraform, pytest.mark.slow]
_PROVIDER = f"""
terraform {{
  required_providers {{
    aws = {{
      source = "hashicorp/aws"
    }}
  }}
}}

provider "aws" {{
  region                      = "{REGION}"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}}
"""
# A VPC takes no longer than its requests; the default of 25 attempts is what a user has.
_VPC = (
    _PROVIDER
    + """
resource "aws_vpc" "this" {
  cidr_block = "10.87.0.0/24"
}
"""
)
_SUBNETS = (
    _VPC
    + """
resource "aws_subnet" "this" {
  count      = 8
  vpc_id     = aws_vpc.this.id
  cidr_block = cidrsubnet(aws_vpc.this.cidr_block, 4, count.index)
}
"""
)
# Short, so that the test is; what the seconds mean is the unit tests' business.
# On a busy machine a sound answer takes seconds, too: `unanswered` leaves room for that.
_LIMITS = Limits(unanswered=10, refused=3, no_capacity=2, expired=1, between_probes=1)


@pytest.fixture
def faulty(aws: EmulatedAws) -> Iterator[FaultyAws]:
    with faulty_aws() as made:
        yield made


def _door(root: Path, text: str, endpoint: str) -> Terraform:
    root.mkdir(parents=True)
    # A provider that the tests share would ask the account that it was started for.
    own = ("PATH", "HOME", VARIABLE)
    shared = {k: v for k, v in environment(root.parent).items() if k not in own}
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    return door(root, text, **{**shared, **keys, "AWS_ENDPOINT_URL": endpoint})


def _apply(terraform: Terraform, watch: Watch | None = None) -> None:
    terraform.plan(terraform.write_variables({}), terraform.root / "plan")
    terraform.apply(terraform.root / "plan", watch=watch)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (EXPIRED, "the AWS credentials have expired"),
        (NO_CAPACITY, "AWS has no capacity for this size"),
        (THROTTLED, "AWS answers every request with 'slow down'"),
        (STALLED, "the connection stalls: AWS has not answered EC2 CreateVpc"),
    ],
    ids=["expired", "no capacity", "throttled", "stalled"],
)
def test_a_stall_is_named_and_stopped_in_order(
    tmp_path: Path, faulty: FaultyAws, fault: Answer, said: str
) -> None:
    terraform = _door(tmp_path / "root", _VPC, faulty.endpoint)
    faulty.fail("CreateVpc", fault)
    with pytest.raises(ProvisionError) as error:
        _apply(terraform, Watch(limits=_LIMITS))
    assert said in error.value.message
    assert "0 changes done and recorded in the state" in error.value.message
    assert "run the same command again" in error.value.next_step
    assert terraform.lock() is None, "it was not killed"

    faulty.fail("$.", fault)
    _apply(terraform, Watch())
    state = terraform.state()
    assert state is not None and len(state["resources"]) == 1


def test_bad_weather_is_lived_through_and_no_stall_is_seen_in_it(
    tmp_path: Path, aws: EmulatedAws
) -> None:
    """Three requests in ten are throttled, fail or are cut off; the provider asks again."""
    terraform = _door(tmp_path / "root", _SUBNETS, aws.endpoint)
    storm = [Fault(kind, rate=0.1) for kind in ("throttle", "error", "reset")]
    control.set_faults(aws.endpoint, storm)
    try:
        _apply(terraform, Watch())
        assert min(control.met(aws.endpoint).hits) > 0, "the weather was fair"
    finally:
        control.set_faults(aws.endpoint, [])
    variables, plan = terraform.write_variables({}), terraform.root / "plan"
    assert not terraform.plan(variables, plan), "something is missing, or double"
    terraform.plan(variables, plan, destroy=True)
    terraform.apply(plan)


def test_the_callers_probe_stops_an_apply(tmp_path: Path, faulty: FaultyAws) -> None:
    terraform = _door(tmp_path / "root", _VPC, faulty.endpoint)
    faulty.fail("CreateVpc", STALLED)
    probe = Watch(probe=lambda: "the credentials expire in 2 minutes", limits=_LIMITS)
    with pytest.raises(ProvisionError, match="the credentials expire in 2 minutes"):
        _apply(terraform, probe)


@pytest.mark.parametrize(
    ("fault", "kind", "said", "next_step"),
    [
        (DENIED, MissingError, "rights do not allow ec2:CreateVpc (aws_vpc.this)", "ec2:CreateVpc"),
        (
            QUOTA,
            MissingError,
            "a quota of this account is used up (VpcLimitExceeded",
            "servicequot",
        ),
    ],
    ids=["denied", "quota"],
)
def test_a_refusal_of_aws_is_explained(
    tmp_path: Path,
    faulty: FaultyAws,
    fault: Answer,
    kind: type[ProvisionError],
    said: str,
    next_step: str,
) -> None:
    terraform = _door(tmp_path / "root", _VPC, faulty.endpoint)
    faulty.fail("CreateVpc", fault)
    with pytest.raises(kind) as error:
        _apply(terraform, Watch(limits=_LIMITS))
    assert said in error.value.message
    assert next_step in error.value.next_step


def test_without_a_provider_to_be_had_it_says_where_from(tmp_path: Path, aws: EmulatedAws) -> None:
    rc = tmp_path / "empty.tfrc"
    (tmp_path / "empty").mkdir()
    mirror = f'filesystem_mirror {{\n    path = "{tmp_path}/empty"\n  }}'
    rc.write_text(f"provider_installation {{\n  {mirror}\n}}\n", encoding="utf-8")
    with pytest.raises(MissingError, match="cannot get the AWS provider") as error:
        door(tmp_path / "root", _VPC, TF_CLI_CONFIG_FILE=str(rc))
    assert "mirror" in error.value.next_step


# -- a shared state -----------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path, aws: EmulatedAws) -> Terraform:
    """A root without a provider whose state lies in a bucket."""
    aws.client("s3").create_bucket(
        Bucket="churn-state", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return _shared(tmp_path / "root", aws)


def _shared(root: Path, aws: EmulatedAws, **more: str) -> Terraform:
    root.mkdir(parents=True)
    made = door(root, _DATA, **{**aws.environment, "AWS_REGION": REGION})
    made.init(_BACKEND | more)
    return made


_DATA = """
resource "terraform_data" "this" {
  input = 1
}
"""
_BACKEND = {
    "bucket": "churn-state",
    "key": "churn/terraform.tfstate",
    "region": REGION,
    "use_lockfile": "true",
    **dict.fromkeys(
        ("use_path_style", "skip_credentials_validation", "skip_requesting_account_id"), "true"
    ),
}


def _empty(aws: EmulatedAws) -> None:
    s3 = aws.client("s3")
    for item in s3.list_objects_v2(Bucket="churn-state").get("Contents", []):
        s3.delete_object(Bucket="churn-state", Key=item["Key"])
    s3.delete_bucket(Bucket="churn-state")


def test_a_shared_state_serves_a_second_person_and_its_lock_names_the_first(
    tmp_path: Path, aws: EmulatedAws, shared: Terraform
) -> None:
    up(shared)
    second = _shared(tmp_path / "second", aws)
    assert second.state() == shared.state()

    lock = (
        b'{"ID":"1d4a0000-0000-0000-0000-000000000000","Operation":"OperationTypeApply",'
        b'"Who":"ana@laptop","Created":"2026-11-21T07:00:00Z","Path":"churn"}'
    )
    s3 = aws.client("s3")
    key = f"{_BACKEND['key']}.tflock"
    s3.put_object(Bucket="churn-state", Key=key, Body=lock)
    with pytest.raises(LockedError, match="ana@laptop works on this stack since") as error:
        second.plan(second.write_variables({}), second.root / "plan")
    held = error.value.lock
    assert held is not None and (held.operation, held.host) == ("apply", "laptop")
    assert second.owner_lives(held) is None, "another machine's processes cannot be seen"
    second.force_unlock(held.id)
    assert not second.plan(second.write_variables({}), second.root / "plan")
    _empty(aws)


def test_a_state_is_never_left_behind(tmp_path: Path, aws: EmulatedAws, shared: Terraform) -> None:
    up(shared)
    backend: dict[str, str] | None
    for backend in (None, _BACKEND | {"key": "other/terraform.tfstate"}):
        with pytest.raises(ProvisionError, match="the spec says otherwise now"):
            shared.init(backend)
    local = door(tmp_path / "local", 'resource "terraform_data" "this" {}\n', **aws.environment)
    up(local)
    with pytest.raises(ProvisionError, match="asks for a shared one"):
        local.init(_BACKEND)
    _empty(aws)


def test_a_state_that_cannot_be_stored_in_its_bucket_is_pushed_later(
    tmp_path: Path, aws: EmulatedAws, faulty: FaultyAws, shared: Terraform
) -> None:
    notes: list[str] = []
    root, key = tmp_path / "second", _BACKEND["key"]
    second = door(root, _DATA, notes, **{**aws.environment, "AWS_ENDPOINT_URL": faulty.endpoint})
    second.init(_BACKEND)
    faulty.fail(f"PUT /churn-state/{key}", FORBIDDEN)
    with pytest.raises(MissingError, match="rights at hand do not allow this"):
        up(second)
    assert "the next command stores it" in notes[0]
    assert second.files.errored.stat().st_mode & 0o777 == 0o600

    faulty.fail("$.", FORBIDDEN)
    assert not second.plan(second.write_variables({}), root / "plan"), "nothing is made anew"
    assert "was stored in its bucket" in notes[1]
    assert not second.files.errored.exists()
    state = shared.state()
    assert state is not None and len(state["resources"]) == 1

    older = {**state, "serial": state["serial"] - 1, "resources": []}
    second.files.errored.write_text(json.dumps(older), encoding="utf-8")
    assert not second.plan(second.write_variables({}), root / "plan")
    assert "set aside" in notes[2]
    _empty(aws)
