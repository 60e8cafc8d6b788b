"""What AWS tells of an account before anything is made in it, and moto does not.

IAM's simulation is the evaluation that the lab's door uses. The rest are answers of a usual
account: on the paid plan, with quotas that leave room, where RDS has what our profiles want.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from moto.iam import iam_backends
from moto.iam.responses import IamResponse
from moto.rds import rds_backends
from moto.rds.responses import RDSResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from provision.emulator.rights import simulated

# Versions and classes, some of those that RDS offers in its usual regions.
MAJORS = ("14", "15", "16", "17")
CLASSES = ("db.t3.micro", "db.t4g.micro", "db.t4g.small", "db.t4g.medium", "db.m6g.large")
# More than a usual account has: nothing here holds a stack to them, and rehearsals are many.
QUOTAS = {("ec2", "L-0263D0A3"): 50.0, ("ec2", "L-1216C47A"): 256.0, ("vpc", "L-F678F1CE"): 50.0}
_DATABASES = 40


def close_gaps_of_answers() -> None:
    """Add the operations that a look at an account takes."""
    IamResponse.simulate_principal_policy = _simulated
    RDSResponse.describe_account_attributes = _databases
    RDSResponse.describe_db_engine_versions = _versions
    RDSResponse.describe_orderable_db_instance_options = _offers
    _quotas_are_known()


def _quotas_are_known() -> None:
    known = ServiceQuotasResponse.get_service_quota

    def quota(self: Any) -> str:
        asked = (self._get_param("ServiceCode"), self._get_param("QuotaCode"))
        if asked not in QUOTAS:
            answer: str = known(self)
            return answer
        service, code = asked
        value = {"ServiceCode": service, "QuotaCode": code, "Value": QUOTAS[asked]}
        return json.dumps({"Quota": value})

    ServiceQuotasResponse.get_service_quota = quota


def _simulated(self: Any) -> str:
    policies = list(_policies(self, self._get_param("PolicySourceArn")))
    asked = self._get_param("ActionNames")
    resources = self._get_param("ResourceArns") or ["*"]
    context = self._get_param("ContextEntries") or []
    facts = {
        entry["ContextKeyName"].lower(): entry["ContextKeyValues"][0]
        for entry in context
        if entry.get("ContextKeyValues")
    }
    results = "".join(
        _result(action, resource, simulated(policies, action, resource, facts))
        for action in asked
        for resource in resources
    )
    body = f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
    return _answer("SimulatePrincipalPolicy", body, "https://iam.amazonaws.com/doc/2010-05-08/")


def _policies(self: Any, arn: str) -> Iterator[Mapping[str, Any]]:
    """The documents that count for a user or role; one that moto does not know may do all."""
    backend = iam_backends[self.current_account][self.partition]
    name = arn.rpartition("/")[2]
    known = backend.users if ":user/" in arn else {r.name: r for r in backend.roles.values()}
    if name not in known:
        yield {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        return
    holder = known[name]
    documents = [
        *_inline(backend, name, arn),
        *(p.document for p in holder.managed_policies.values()),
    ]
    yield from (json.loads(text) for text in documents)


def _inline(backend: Any, name: str, arn: str) -> list[str]:
    if ":user/" in arn:
        return list(backend.users[name].policies.values())
    names = backend.list_role_policies(name)
    return [backend.get_role_policy(name, policy)[1]["policy_document"] for policy in names]


def _result(action: str, resource: str, decision: str) -> str:
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/>"
        "<MissingContextValues/></member>"
    )


def _databases(self: Any) -> str:
    used = len(rds_backends[self.current_account][self.region].databases)
    body = (
        "<AccountQuotas><AccountQuota><AccountQuotaName>DBInstances</AccountQuotaName>"
        f"<Used>{used}</Used><Max>{_DATABASES}</Max></AccountQuota></AccountQuotas>"
    )
    return _answer("DescribeAccountAttributes", body)


def _versions(_self: Any) -> str:
    items = "".join(
        f"<DBEngineVersion><Engine>postgres</Engine><EngineVersion>{major}.10</EngineVersion>"
        "</DBEngineVersion>"
        for major in MAJORS
    )
    return _answer("DescribeDBEngineVersions", f"<DBEngineVersions>{items}</DBEngineVersions>")


def _offers(self: Any) -> str:
    name = self._get_param("DBInstanceClass")
    zones = "".join(
        f"<AvailabilityZone><Name>{self.region}{letter}</Name></AvailabilityZone>"
        for letter in "abc"
    )
    items = "".join(
        f"<OrderableDBInstanceOption><Engine>postgres</Engine><EngineVersion>{major}.10"
        f"</EngineVersion><DBInstanceClass>{name}</DBInstanceClass><StorageType>gp3</StorageType>"
        f"<MultiAZCapable>true</MultiAZCapable><AvailabilityZones>{zones}</AvailabilityZones>"
        "</OrderableDBInstanceOption>"
        for major in MAJORS
        if name in CLASSES
    )
    body = f"<OrderableDBInstanceOptions>{items}</OrderableDBInstanceOptions>"
    return _answer("DescribeOrderableDBInstanceOptions", body)


def _answer(
    action: str, body: str, namespace: str = "http://rds.amazonaws.com/doc/2014-10-31/"
) -> str:
    return (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{body}</{action}Result>'
        "<ResponseMetadata><RequestId>7d2c</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    )


def account_plan() -> bytes:
    """What the service `freetier`, which moto does not know, says of a usual account."""
    plan = {"accountId": "123456789012", "accountPlanType": "PAID",
            "accountPlanStatus": "NOT_STARTED"}  # fmt: skip
    return json.dumps(plan).encode()
