"""The questions to an account: asked of a healthy one, and with one thing wrong at a time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.session import Cloud
from provision.app.questions import ask
from provision.emulator import client, control
from provision.emulator.client import Emulated
from provision.emulator.faults import Fault
from provision.model.account import Identity
from provision.model.report import Finding, Outcome
from provision.model.spec import Spec
from provision.model.wanted import Wanted
from provision.targets.account_audit import role_use
from provision.targets.account_questions import AccountQuestions, identity_question

pytestmark = pytest.mark.slow
REGION = "eu-west-1"
USER = "arn:aws:iam::123456789012:user/ana"
Act = Callable[["Account"], None]


class Account:
    """An emulated account, with one service or another answering otherwise."""

    def __init__(self, emulated: Emulated, **more: str) -> None:
        self.emulated = emulated
        environment = emulated.over(os.environ) | more
        self.cloud = Cloud(environment, REGION, attempts=1)
        self.arn = USER
        self.spec: dict[str, Any] = {}
        self.home: str | None = None

    def boto(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.emulated.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def answers(self, service: str, operation: str, answer: dict[str, Any]) -> None:
        """What moto cannot be made to say."""
        self._instead(service, operation, 200, answer)

    def refuses(self, service: str, operation: str, code: str) -> None:
        self._instead(service, operation, 403, {"Error": {"Code": code, "Message": code}})

    def _instead(self, service: str, operation: str, status: int, parsed: dict[str, Any]) -> None:
        made = self.cloud.client(service)
        name = made.meta.service_model.service_id.hyphenize()
        parsed = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}, **parsed}
        answer = AWSResponse("", status, {}, None), parsed
        made.meta.events.register(f"before-call.{name}.{operation}", lambda **_: answer)

    def faults(self, *faults: Fault) -> None:
        control.set_faults(self.emulated.endpoint, list(faults))

    def findings(self, seconds: float = 60) -> list[Finding]:
        spec = Spec.model_validate({"name": "churn", "target": "aws", "aws": self.spec})
        me = Identity("123456789012", self.arn, REGION, "aws")
        wanted = Wanted.of(spec, me.account, me.region)
        questions = AccountQuestions(self.cloud, me, wanted, self.home).before_made(begun=False)
        return ask(questions, time.monotonic, seconds).findings()


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    folder = tmp_path_factory.mktemp("asked")
    made = client.start(folder, sys.executable, os.environ, regions=[REGION], faults=True)
    Account(made).findings()  # moto loads each of its services when it is asked for the first time
    yield made
    client.stop(folder)


@pytest.fixture
def account(emulated: Emulated) -> Iterator[Account]:
    made = Account(emulated)
    yield made
    control.set_faults(emulated.endpoint, [])
    for user in made.boto("iam").list_users()["Users"]:
        made.boto("iam").delete_user_policy(UserName=user["UserName"], PolicyName="most")
        made.boto("iam").delete_user(UserName=user["UserName"])


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings if finding.outcome is not Outcome.OK]


def test_a_healthy_account_has_no_finding(account: Account) -> None:
    for profile in ("course", "team"):
        account.spec = {"profile": profile, "ingress": ["203.0.113.0/24"]}
        findings = account.findings()
        assert wrong(findings) == []
        assert len(findings) == 14


def free_plan(account: Account) -> None:
    account.answers("freetier", "GetAccountPlanState", {"accountPlanType": "FREE"})


def learner_lab(account: Account) -> None:
    account.arn = "arn:aws:sts::123456789012:assumed-role/voclabs/user1234=Ann"
    account.answers("iam", "GetRole", {"Role": {"Arn": USER}})


def lab_without_the_name(account: Account) -> None:
    account.answers("iam", "GetRole", {"Role": {"Arn": USER}})


def organization_forbids(account: Account) -> None:
    denied = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}
    _simulates(account, **denied)


def boundary_forbids(account: Account) -> None:
    denied = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
    _simulates(account, **denied)


def _simulates(account: Account, **detail: Any) -> None:
    result = {"EvalActionName": "ec2:RunInstances", "EvalDecision": "implicitDeny", **detail}
    answer = {"EvaluationResults": [result], "IsTruncated": False}
    account.answers("iam", "SimulatePrincipalPolicy", answer)


def policies_forbid(account: Account) -> None:
    iam = account.boto("iam")
    iam.create_user(UserName="ana")
    document = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": ["rds:CreateDBInstance", "iam:Create*"], "Resource": "*"},
    ]}  # fmt: skip
    iam.put_user_policy(UserName="ana", PolicyName="most", PolicyDocument=json.dumps(document))


def no_simulation(account: Account) -> None:
    account.faults(Fault("denied", "iam", "SimulatePrincipalPolicy"))


def quotas_of_none(account: Account) -> None:
    account.answers("service-quotas", "GetServiceQuota", {"Quota": {"Value": 0.0}})


def no_databases(account: Account) -> None:
    used = {"AccountQuotaName": "DBInstances", "Used": 40, "Max": 40}
    account.answers("rds", "DescribeAccountAttributes", {"AccountQuotas": [used]})


def no_such_version(account: Account) -> None:
    account.spec = {"settings": {"database_major": 19}}


def no_such_class(account: Account) -> None:
    account.spec = {"settings": {"database_class": "db.z9.huge"}}


def no_such_machine(account: Account) -> None:
    account.spec = {"settings": {"instance_type": "t9.small"}}


def bucket_of_others(account: Account) -> None:
    account.refuses("s3", "HeadBucket", "403")


def no_such_image(account: Account) -> None:
    account.spec = {"settings": {"image_parameter": "/aws/service/debian/release/9/latest/amd64"}}


def same_range(account: Account) -> None:
    account.spec = {"network": {"cidr": "172.31.0.0/20"}}


def clients_inside(account: Account) -> None:
    account.spec = {"ingress": ["10.87.3.0/24"]}


def no_such_zone(account: Account) -> None:
    account.spec = {"network": {"zones": ["eu-west-1a", "eu-west-1f"]}}


def no_such_network(account: Account) -> None:
    account.spec = {"network": {
        "vpc": "vpc-0a1b2c3d4e5f60718", "public_subnet": "subnet-0a1b2c3d4e5f60718",
        "private_subnets": ["subnet-0a1b2c3d4e5f60719", "subnet-0a1b2c3d4e5f6071a"],
    }}  # fmt: skip


def session_ends(account: Account) -> None:
    end = datetime.now(UTC) + timedelta(minutes=5)
    environment = {**account.cloud.environment, "AWS_CREDENTIAL_EXPIRATION": end.isoformat()}
    account.cloud = Cloud(environment, REGION, attempts=1)


def elsewhere(account: Account) -> None:
    account.home = "999999999999"


def roots(account: Account) -> None:
    account.arn = "arn:aws:iam::123456789012:root"


def other_clock(account: Account) -> None:
    date = (datetime.now(UTC) - timedelta(minutes=7)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}}
    account.answers("sts", "GetCallerIdentity", answer)


def zones_denied(account: Account) -> None:
    account.faults(Fault("denied", "ec2", "DescribeInstanceTypeOfferings"))


def plan_throttled(account: Account) -> None:
    account.faults(Fault("throttle", "ssm", "GetParameter"))


# What is done to the account, and exactly the findings that come of it.
CASES: list[tuple[Act, list[str]]] = [
    (session_ends, ["session.too-short"]),
    (elsewhere, ["session.other-account"]),
    (other_clock, ["clock.wrong"]),
    (roots, ["session.root", "rights.not-simulated"]),
    (free_plan, ["account.free-plan"]),
    (learner_lab, ["account.learner-lab-region"]),
    (lab_without_the_name, ["account.learner-lab-region"]),
    (policies_forbid, ["rights.missing"]),
    (organization_forbids, ["rights.organization"]),
    (boundary_forbids, ["rights.boundary"]),
    (no_simulation, ["rights.not-simulated"]),
    (quotas_of_none, ["quota.used-up"] * 3),
    (no_databases, ["quota.used-up"]),
    (no_such_version, ["engine.no-version"]),
    (no_such_class, ["engine.not-offered"]),
    (no_such_machine, ["machine.not-offered"]),
    (no_such_image, ["image.missing"]),
    (no_such_zone, ["zones.too-few"]),
    (same_range, ["network.overlaps"]),
    (clients_inside, ["network.overlaps-ingress"]),
    (no_such_network, ["network.missing"]),
    (bucket_of_others, ["bucket.taken"]),
    (zones_denied, ["aws.not-allowed"]),
    (plan_throttled, ["aws.not-answered"]),
]


@pytest.mark.parametrize(("act", "expected"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_one_thing_wrong_is_one_finding(account: Account, act: Act, expected: list[str]) -> None:
    act(account)
    findings = account.findings()
    seen = [(f.id, f.observed) for f in findings if f.outcome is not Outcome.OK]
    assert [name for name, _ in seen] == expected, seen


@pytest.mark.parametrize(
    ("fault", "more", "problem"),
    [
        (Fault("expired", "sts"), {}, "session.expired"),
        (Fault("error", "sts", code="InvalidClientTokenId"), {}, "session.unknown"),
        (None, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "session.none"),
        (None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "aws.unreachable"),
    ],
)
def test_credentials_that_do_not_work_are_told_apart(
    account: Account, fault: Fault | None, more: dict[str, str], problem: str
) -> None:
    account.faults(*([fault] if fault else []))
    cloud = Cloud({**account.cloud.environment, **more}, REGION, attempts=1)
    question = identity_question(cloud, lambda: identity_of(cloud))
    (finding,) = ask([question], time.monotonic, 60).findings()
    assert finding.id == problem


def test_a_region_has_to_be_set(account: Account) -> None:
    environment = {k: v for k, v in account.cloud.environment.items() if "REGION" not in k}
    cloud = Cloud(environment, None, attempts=1)
    question = identity_question(cloud, lambda: identity_of(cloud))
    (finding,) = ask([question], time.monotonic, 60).findings()
    assert finding.id == "session.no-region"


def test_a_role_that_is_old_and_never_used_is_named(account: Account) -> None:
    """Access advisor is asked of roles that are over a month old alone."""
    old, young = (datetime.now(UTC) - timedelta(days=days) for days in (90, 3))
    services = [{"ServiceNamespace": "rds", "LastAuthenticated": old}, {"ServiceNamespace": "s3"}]
    account.answers("iam", "GenerateServiceLastAccessedDetails", {"JobId": "1" * 36})
    told = {"JobStatus": "COMPLETED", "ServicesLastAccessed": services}
    account.answers("iam", "GetServiceLastAccessedDetails", told)
    arn = "arn:aws:iam::123456789012:role/server"

    account.answers("iam", "GetRole", {"Role": {"CreateDate": young}})
    assert role_use(account.cloud, "server", arn, ["rds", "s3"], "seen").problem == ""
    older = Account(account.emulated)
    older.answers("iam", "GetRole", {"Role": {"CreateDate": old}})
    untold = role_use(older.cloud, "server", arn, ["rds", "s3"], "seen")
    assert (untold.problem, untold.observed) == ("", "seen; IAM does not tell what was used")
    older.answers("iam", "GenerateServiceLastAccessedDetails", {"JobId": "1" * 36})
    older.answers("iam", "GetServiceLastAccessedDetails", told)
    used = role_use(older.cloud, "server", arn, ["rds", "s3"], "seen")
    assert (used.problem, used.facts["services"]) == ("role.unused", "s3")


def test_an_account_that_says_nothing_is_not_waited_for(account: Account) -> None:
    account.findings()
    account.faults(Fault("stall", "rds"), Fault("stall", "iam"))
    findings = account.findings(seconds=8)
    titles = {f.title for f in findings if f.id == "aws.not-answered"}
    assert titles >= {"The database can be had", "The credentials may do all that up does"}
