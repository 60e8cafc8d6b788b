"""Faults on demand: each in the words of the service that it hits, as often as it was asked for."""

from __future__ import annotations

import io
import json
import string
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from provision.emulator import control
from provision.emulator.calls import Call
from provision.emulator.client import Emulated
from provision.emulator.control import set_faults
from provision.emulator.faults import KINDS, Fault, Faults
from tests.emulator.conftest import Clients

pytestmark = pytest.mark.slow
# Service -> an operation that exists everywhere, and what it needs.
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ec2": ("describe_vpcs", {}),
    "s3": ("list_buckets", {}),
    "iam": ("list_roles", {}),
    "sts": ("get_caller_identity", {}),
    "rds": ("describe_db_instances", {}),
    "secretsmanager": ("list_secrets", {}),
    "cloudwatch": ("describe_alarms", {}),
    "scheduler": ("list_schedules", {}),
}
CODES = {
    "throttle": {
        "ec2": "RequestLimitExceeded", "s3": "SlowDown", "iam": "Throttling",
        "sts": "Throttling", "rds": "Throttling", "secretsmanager": "ThrottlingException",
        "cloudwatch": "ThrottlingException", "scheduler": "TooManyRequestsException",
    },
    "expired": {
        "ec2": "RequestExpired", "s3": "ExpiredToken", "iam": "ExpiredToken",
        "sts": "ExpiredToken", "rds": "ExpiredToken", "secretsmanager": "ExpiredTokenException",
        "cloudwatch": "ExpiredTokenException", "scheduler": "ExpiredTokenException",
    },
    "denied": {
        "ec2": "UnauthorizedOperation", "s3": "AccessDenied", "iam": "AccessDenied",
        "sts": "AccessDenied", "rds": "AccessDenied", "secretsmanager": "AccessDeniedException",
        "cloudwatch": "AccessDeniedException", "scheduler": "AccessDeniedException",
    },
    "error": {
        "ec2": "InternalError", "s3": "InternalError", "iam": "InternalFailure",
        "sts": "InternalFailure", "rds": "InternalFailure", "secretsmanager": "InternalFailure",
        "cloudwatch": "InternalFailure", "scheduler": "InternalFailure",
    },
}  # fmt: skip


def refused(client: Any, operation: str, **values: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(**values)
    response = error.value.response
    assert isinstance(response, dict)
    return response


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("service", OPERATIONS)
def test_a_refusal_is_in_the_services_own_words(
    aws: Clients, emulated: Emulated, kind: str, service: str
) -> None:
    operation, values = OPERATIONS[service]
    client = aws(service)
    set_faults(emulated.endpoint, [Fault(kind, service="another")])
    getattr(client, operation)(**values)
    set_faults(emulated.endpoint, [Fault(kind)])
    assert refused(client, operation, **values)["Error"]["Code"] == CODES[kind][service]
    set_faults(emulated.endpoint, [])
    getattr(client, operation)(**values)


def test_a_denial_names_the_missing_action(aws: Clients, emulated: Emulated) -> None:
    set_faults(emulated.endpoint, [Fault("denied", service="ec2")])
    said = refused(aws("ec2"), "describe_vpcs")["Error"]["Message"]
    assert "is not authorized to perform: ec2:DescribeVpcs on resource" in said


def test_an_outage_can_be_a_503(aws: Clients, emulated: Emulated) -> None:
    set_faults(emulated.endpoint, [Fault("error", status=503)])
    answer = refused(aws("ec2"), "describe_vpcs")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert answer["Error"]["Code"] == "Unavailable"


MACHINE = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1}


@pytest.mark.parametrize(
    ("kind", "code"),
    [("capacity", "InsufficientInstanceCapacity"), ("quota", "VcpuLimitExceeded")],
)
def test_no_machine_can_be_had_and_all_else_works(
    aws: Clients, emulated: Emulated, kind: str, code: str
) -> None:
    set_faults(emulated.endpoint, [Fault(kind)])
    assert refused(aws("ec2"), "run_instances", **MACHINE)["Error"]["Code"] == code
    aws("ec2").describe_instances()


def test_a_quota_of_ones_own_choice(aws: Clients, emulated: Emulated) -> None:
    set_faults(emulated.endpoint, [Fault("quota", action="CreateSubnet", code="SubnetLimit")])
    asked = refused(aws("ec2"), "create_subnet", VpcId="vpc-1", CidrBlock="10.0.0.0/24")
    assert asked["Error"]["Code"] == "SubnetLimit"


def test_a_reset_connection_is_no_timeout(aws: Clients, emulated: Emulated) -> None:
    set_faults(emulated.endpoint, [Fault("reset")])
    with pytest.raises(ConnectionClosedError):
        aws("ec2").describe_vpcs()


def test_a_stalled_connection_says_nothing_until_it_is_freed(
    aws: Clients, emulated: Emulated
) -> None:
    set_faults(emulated.endpoint, [Fault("stall")])
    with pytest.raises(ReadTimeoutError):
        aws("ec2", timeout=1).describe_vpcs()
    freed = threading.Timer(0.5, set_faults, (emulated.endpoint, []))
    freed.start()
    with pytest.raises(ConnectionClosedError):
        aws("ec2").describe_vpcs()
    freed.join()


def test_a_stall_can_end_well(aws: Clients, emulated: Emulated) -> None:
    set_faults(emulated.endpoint, [Fault("stall", seconds=0.3)])
    aws("ec2").describe_vpcs()
    assert control.met(emulated.endpoint).hits == (1,)


@pytest.mark.parametrize("kind", ["reset", "error"])
def test_a_lost_answer_leaves_a_resource_that_nobody_was_told_of(
    aws: Clients, emulated: Emulated, kind: str
) -> None:
    before = len(aws("ec2").describe_addresses()["Addresses"])
    set_faults(emulated.endpoint, [Fault(kind, action="AllocateAddress", acted=True)])
    with pytest.raises((ConnectionClosedError, ClientError)):
        aws("ec2").allocate_address(Domain="vpc")
    assert len(aws("ec2").describe_addresses()["Addresses"]) == before + 1


def test_calls_are_counted_by_name(aws: Clients, emulated: Emulated) -> None:
    names = (
        "ec2:DescribeVpcs", "s3:ListBuckets", "secretsmanager:ListSecrets", "s3:HeadBucket",
        "monitoring:DescribeAlarms", "s3:GET ?policy", "s3:PutObject",
    )  # fmt: skip
    before = control.met(emulated.endpoint).calls
    aws("ec2").describe_vpcs()
    aws("s3").list_buckets()
    aws("secretsmanager").list_secrets()
    aws("cloudwatch").describe_alarms()
    for operation, more in (
        ("head_bucket", {}), ("get_bucket_policy", {}), ("put_object", {"Key": "a/b"}),
    ):  # fmt: skip
        refused(aws("s3"), operation, Bucket="no-such-bucket-at-all", **more)
    after = control.met(emulated.endpoint).calls
    assert [after[name] - before.get(name, 0) for name in names] == [1] * len(names)


@pytest.mark.parametrize(
    "wrong",
    [
        "{", "5", "[5]", '{"kind": "reset"}', '[{"kind": "earthquake"}]', '[{"rate": 1}]',
        '[{"kind": "reset", "rate": "often"}]', '[{"kind": "reset", "when": 1}]',
    ],
)  # fmt: skip
def test_what_is_no_fault_is_refused_and_changes_nothing(wrong: str) -> None:
    faults = Faults()
    faults.replace([Fault("reset")])
    status, said = faults.control("PUT", wrong.encode())
    assert status == "400 Bad Request"
    assert json.loads(said)["message"]
    assert [f["kind"] for f in json.loads(faults.to_json())["faults"]] == ["reset"]


CALL = Call("ec2", "eu-west-1", "RunInstances", "ec2", "POST")


def hits(fault: Fault, calls: int) -> list[int]:
    """The numbers (from 0) of the calls that a fault hits."""
    faults = Faults()
    faults.replace([fault])
    return [n for n in range(calls) if faults.meet(CALL) is not None]


def test_a_fault_begins_and_ends_when_it_should() -> None:
    assert hits(Fault("reset", after=3), 6) == [3, 4, 5]
    assert hits(Fault("reset", times=2), 6) == [0, 1]
    assert hits(Fault("reset", after=1, times=2), 6) == [1, 2]
    assert hits(Fault("reset", service="s3"), 6) == []
    assert hits(Fault("reset", action="Describe*"), 6) == []
    assert hits(Fault("reset", service="e*", action="Run*"), 2) == [0, 1]


def test_chance_is_as_asked_and_repeats_itself() -> None:
    hit = hits(Fault("throttle", rate=0.3), 1000)
    assert 200 < len(hit) < 400
    assert hit == hits(Fault("throttle", rate=0.3), 1000)
    assert hits(Fault("throttle", rate=0.0), 100) == []


def test_the_first_fault_that_hits_counts() -> None:
    faults = Faults()
    faults.replace([Fault("throttle", times=1), Fault("reset")])
    met = [faults.meet(CALL) for _ in range(2)]
    assert [fault and fault.kind for fault in met] == ["throttle", "reset"]


@given(
    auth=st.text(string.printable), target=st.text(string.printable), body=st.binary(),
    path=st.text(string.printable), query=st.text(string.printable),
    form=st.sampled_from(["application/x-www-form-urlencoded", "", "text/plain"]),
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "PATCH"]),
)  # fmt: skip
def test_any_request_is_read_and_its_body_kept(
    auth: str, target: str, body: bytes, path: str, query: str, form: str, method: str
) -> None:
    environ: dict[str, Any] = {
        "HTTP_AUTHORIZATION": auth, "HTTP_X_AMZ_TARGET": target, "PATH_INFO": path,
        "QUERY_STRING": query, "CONTENT_TYPE": form, "CONTENT_LENGTH": str(len(body)),
        "REQUEST_METHOD": method, "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    call = Call.read(environ)
    assert environ["wsgi.input"].read() == body
    for kind in set(KINDS) - {"reset", "stall"}:
        answer = Fault(kind, code="Chosen").refusal(call)
        assert method == "HEAD" or b"Chosen" in answer.body


NAMES = ["kind", *Fault.__annotations__]
PLAIN = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.sampled_from(KINDS)


@given(st.dictionaries(st.sampled_from(NAMES), PLAIN))
def test_only_a_value_error_comes_of_a_wrong_fault(value: dict[str, Any]) -> None:
    try:
        fault = Fault.from_plain(value)
    except ValueError:
        return
    faults = Faults()
    faults.replace([fault])
    faults.meet(CALL)
