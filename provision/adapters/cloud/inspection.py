"""What an account says of a stack's resources as they are: for the audit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from provision.adapters.cloud.failures import code_of
from provision.adapters.cloud.session import Cloud
from provision.model.exposure import Rule
from provision.model.role_policy import Right, rights_of
from provision.model.secrets import Secret

_NOT_SET: Final = {
    "NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy",
    "ServerSideEncryptionConfigurationNotFoundError",
}  # fmt: skip


def user_data(cloud: Cloud, instance: str) -> str:
    """What the machine was told at its first boot."""
    answer = cloud.client("ec2").describe_instance_attribute(
        InstanceId=instance, Attribute="userData"
    )
    text = answer.get("UserData", {}).get("Value") or ""
    return base64.b64decode(text).decode("utf-8", "replace")


def machine(cloud: Cloud, instance: str) -> Mapping[str, Any]:
    """EC2's description of the machine."""
    found = cloud.client("ec2").describe_instances(InstanceIds=[instance])
    described: Mapping[str, Any] = found["Reservations"][0]["Instances"][0]
    return described


def unencrypted_disks(cloud: Cloud, instance: str) -> list[str]:
    """The machine's disks that are not encrypted."""
    volumes = cloud.paged(
        "ec2", "describe_volumes", "Volumes",
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}],
    )  # fmt: skip
    return [volume["VolumeId"] for volume in volumes if not volume["Encrypted"]]


def ways_in(cloud: Cloud, groups: list[str]) -> list[Rule]:
    """What security groups let in."""
    found = cloud.paged("ec2", "describe_security_groups", "SecurityGroups", GroupIds=groups)
    return [rule for group in found for rule in _rules(group)]


def _rules(group: Mapping[str, Any]) -> Iterator[Rule]:
    for permission in group.get("IpPermissions", []):
        first, last = permission.get("FromPort", 0), permission.get("ToPort", 65535)
        sources = [r["CidrIp"] for r in permission.get("IpRanges", [])]
        sources += [r["CidrIpv6"] for r in permission.get("Ipv6Ranges", [])]
        sources += [r["PrefixListId"] for r in permission.get("PrefixListIds", [])]
        sources += [r["GroupId"] for r in permission.get("UserIdGroupPairs", [])]
        for source in sources:
            yield Rule(permission["IpProtocol"], first, last, source)


def database(cloud: Cloud, identifier: str) -> Mapping[str, Any]:
    """RDS' description of the database."""
    found = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)
    described: Mapping[str, Any] = found["DBInstances"][0]
    return described


def forces_tls(cloud: Cloud, group: str) -> bool:
    """Whether a parameter group makes PostgreSQL refuse connections without TLS."""
    parameters = cloud.paged(
        "rds", "describe_db_parameters", "Parameters", DBParameterGroupName=group
    )
    return any(
        p["ParameterName"] == "rds.force_ssl" and p.get("ParameterValue") == "1" for p in parameters
    )


def open_to_public(cloud: Cloud, bucket: str) -> list[str]:
    """Which of the four blocks against public access a bucket does not have."""
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    answer = _or_nothing(cloud, "get_public_access_block", Bucket=bucket)
    blocks = answer.get("PublicAccessBlockConfiguration", {})
    return [name for name in names if not blocks.get(name)]


def bucket_is_encrypted(cloud: Cloud, bucket: str) -> bool:
    """Whether a bucket encrypts what is put into it."""
    answer = _or_nothing(cloud, "get_bucket_encryption", Bucket=bucket)
    return bool(answer.get("ServerSideEncryptionConfiguration", {}).get("Rules"))


def bucket_wants_tls(cloud: Cloud, bucket: str) -> bool:
    """Whether a bucket's policy refuses requests without TLS."""
    answer = _or_nothing(cloud, "get_bucket_policy", Bucket=bucket)
    statements = json.loads(answer.get("Policy", "{}")).get("Statement", [])
    return any(
        statement["Effect"] == "Deny"
        and str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower()
        == "false"
        for statement in statements
    )


def _or_nothing(cloud: Cloud, operation: str, **arguments: Any) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = getattr(cloud.client("s3"), operation)(**arguments)
    except Exception as error:
        if code_of(error) in _NOT_SET:
            return {}
        raise
    return answer


def role_of(cloud: Cloud, profile_arn: str) -> str:
    """The name of the role behind an instance profile."""
    name = profile_arn.rpartition("/")[2]
    found = cloud.client("iam").get_instance_profile(InstanceProfileName=name)
    return str(found["InstanceProfile"]["Roles"][0]["RoleName"])


def policies_of(cloud: Cloud, role: str) -> tuple[dict[str, frozenset[Right]], list[str]]:
    """A role's own policies by name, and the ARNs of those that are attached to it."""
    names = cloud.paged("iam", "list_role_policies", "PolicyNames", RoleName=role)
    own = {}
    for name in map(str, names):
        found = cloud.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        own[name] = rights_of(found["PolicyDocument"])
    attached = cloud.paged("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role)
    return own, [policy["PolicyArn"] for policy in attached]


def secret_values(cloud: Cloud, arn: str) -> dict[str, Secret]:
    """The words in one secret of Secrets Manager, by their names in it; not what names a user."""
    answer = cloud.client("secretsmanager").get_secret_value(SecretId=arn)
    values = json.loads(answer["SecretString"])
    return {
        name: Secret(str(value))
        for name, value in values.items()
        if name in ("password", "gateway_passphrase", "session_key")
    }
