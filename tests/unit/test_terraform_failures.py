"""Terraform's failures in words: cause, exit code, next step; real texts, shortened."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.adapters.terraform.failures import Context, LockedError, failure
from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.terraform_events import Diagnostic
from provision.model.terraform_lock import LockInfo, lock_in, parse_lock

_CONTEXT = Context(Path("/stacks/churn"), "apply its plan")
_API = "operation error {}, https response error StatusCode: {}, RequestID: 7d2c, api error {}"


def _failure(summary: str, detail: str = "", address: str | None = None) -> ProvisionError:
    return failure([Diagnostic("error", summary, detail, address)], "", _CONTEXT)


CASES = [
    (
        "creating EC2 VPC: " + _API.format("EC2: CreateVpc", 400, "VpcLimitExceeded: The maximum"),
        MissingError,
        "a quota of this account is used up (VpcLimitExceeded: aws_x.this)",
        "quota raised",
    ),
    (
        _API.format("EC2: RunInstances", 400, "VcpuLimitExceeded: You have requested more"),
        MissingError,
        "a quota of this account is used up (VcpuLimitExceeded",
        "quota raised",
    ),
    (
        _API.format("RDS: CreateDBInstance", 400, "InstanceQuotaExceeded: "),
        MissingError,
        "a quota of this account is used up (InstanceQuotaExceeded",
        "quota raised",
    ),
    (
        _API.format("EC2: RunInstances", 500, "InsufficientInstanceCapacity: We currently"),
        ProvisionError,
        "AWS has no capacity for this size in this zone now",
        "another size",
    ),
    (
        _API.format("STS: GetCallerIdentity", 403, "ExpiredToken: The security token included"),
        MissingError,
        "the AWS credentials have expired (ExpiredToken)",
        "sign in again",
    ),
    (
        _API.format("STS: GetCallerIdentity", 403, "InvalidClientTokenId: The security token"),
        MissingError,
        "AWS does not accept the credentials (InvalidClientTokenId)",
        "aws sts get-caller-identity",
    ),
    (
        "No valid credential sources found",
        MissingError,
        "there are no AWS credentials",
        "AWS_PROFILE",
    ),
    (
        _API.format(
            "IAM: CreateRole",
            403,
            "AccessDenied: User: arn:aws:iam::123456789012:user/ana is not authorized to perform: "
            "iam:CreateRole on resource: role churn",
        ),
        MissingError,
        "this account's rights do not allow iam:CreateRole (aws_x.this)",
        "ask for the right iam:CreateRole",
    ),
    (
        _API.format("EC2: CreateVpc", 403, "UnauthorizedOperation: You are not"),
        MissingError,
        "the rights at hand do not allow this (UnauthorizedOperation",
        "ask for the right",
    ),
    (
        _API.format("S3: CreateBucket", 409, "BucketAlreadyExists: The requested bucket name"),
        ProvisionError,
        "a bucket of this name belongs to somebody else",
        "another name",
    ),
    (
        _API.format("IAM: CreateRole", 409, "EntityAlreadyExists: Role with name churn"),
        RefusedError,
        "something with this name is there already",
        "adopts it",
    ),
    (
        _API.format("EC2: CreateSecurityGroup", 400, "InvalidGroup.Duplicate: The security group"),
        RefusedError,
        "something with this name is there already",
        "adopts it",
    ),
    (
        "AWS account ID not allowed: 210987654321",
        RefusedError,
        "belong to account 210987654321",
        "AWS_PROFILE",
    ),
    (
        "Failed to write state: write terraform.tfstate: no space left on device",
        MissingError,
        "the disk that holds /stacks/churn is full",
        "free space",
    ),
    (
        "Failed to query available provider packages",
        MissingError,
        "cannot get the AWS provider",
        "registry.terraform.io",
    ),
    (
        "request send failed, Post https://ec2.eu-west-1.amazonaws.com/: dial tcp: lookup "
        "ec2.eu-west-1.amazonaws.com: no such host",
        MissingError,
        "AWS cannot be reached from this machine",
        "HTTPS_PROXY",
    ),
    (
        _API.format(
            "RDS: DeleteDBInstance",
            400,
            "InvalidParameterCombination: Cannot delete protected DB Instance",
        ),
        RefusedError,
        "AWS protects this from deletion (aws_x.this)",
        "switch the protection off",
    ),
]


@pytest.mark.parametrize(("text", "kind", "said", "next_step"), CASES)
def test_a_failure_names_cause_and_next_step(
    text: str, kind: type[ProvisionError], said: str, next_step: str
) -> None:
    for error in (_failure(text, address="aws_x.this"), _failure("Error", text, "aws_x.this")):
        assert type(error) is kind
        assert said in error.message
        assert next_step in error.next_step
        assert "{" not in error.message + error.next_step


def test_what_nobody_has_met_is_told_in_terraforms_words() -> None:
    error = _failure("creating thing", "it is blue")
    assert error.message == "Terraform could not apply its plan: creating thing it is blue"
    assert "run the same command again" in error.next_step


def test_warnings_are_no_cause() -> None:
    warning = Diagnostic("warning", "VpcLimitExceeded", "nearly", None)
    error = failure([warning, Diagnostic("error", "Odd", "thing", None)], "", _CONTEXT)
    assert "quota" not in error.message


def test_stderr_speaks_where_there_is_no_diagnostic() -> None:
    printed = "╷\n│ \x1b[31mError:\x1b[0m Failed to load plugin schemas\n│ \n│ why\n╵\n"
    message = failure([], printed, _CONTEXT).message
    assert message.endswith("Error: Failed to load plugin schemas why")


def test_a_long_text_is_cut() -> None:
    assert len(_failure("x" * 10_000).message) < 800


_LOCKED = """\
Error message: operation error S3: PutObject, https response error StatusCode: 412, \
RequestID: 7QZ, HostID: 8, api error PreconditionFailed: At least one of the pre-conditions
Lock Info:
  ID:        4b2e7a76-52cf-9d31-8a4a-0d5d1b7f3c11
  Path:      churn-state/churn/terraform.tfstate
  Operation: OperationTypeApply
  Who:       ana@laptop
  Version:   1.11.4
  Created:   2026-11-21 07:00:00.123 +0000 UTC
  Info:      
"""  # noqa: W291
_LOCK = LockInfo(
    "4b2e7a76-52cf-9d31-8a4a-0d5d1b7f3c11",
    "ana@laptop",
    "apply",
    "2026-11-21 07:00:00.123 +0000 UTC",
)


def test_a_lock_that_is_held_names_its_holder() -> None:
    error = _failure("Error acquiring the state lock", _LOCKED)
    assert isinstance(error, LockedError) and error.exit_code == 4
    assert error.lock == _LOCK and error.lock.host == "laptop"
    assert "ana@laptop" in error.message and "provision unlock" in error.next_step


def test_a_lock_in_terraforms_frame_is_read_as_well() -> None:
    framed = "\n".join(f"│ {line}" for line in _LOCKED.splitlines())
    assert lock_in(framed) == _LOCK


def test_a_lock_that_does_not_tell_is_still_a_lock() -> None:
    error = _failure("Error acquiring the state lock", "resource temporarily unavailable")
    assert isinstance(error, LockedError) and error.lock is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"ID": 7}', b"\xff", b"[" * 10_000])
def test_what_is_no_lock_file_is_none(content: bytes) -> None:
    assert parse_lock(content) is None
