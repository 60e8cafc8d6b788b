"""An emulated account as its network sees it: machines, databases, addresses and who may talk."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3


@dataclass(frozen=True)
class Rule:
    """One rule of a security group: a protocol ("-1" is every one), ports, and the other side.

    The other side is a network (`cidr`) or whatever has a group (`group`).
    """

    protocol: str
    first: int
    last: int
    cidr: str = ""
    group: str = ""


@dataclass(frozen=True)
class Group:
    """A security group: whom it lets in, and where it lets go."""

    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Instance:
    """A machine of the account; `public_ip` is the Elastic IP that leads to it, or empty."""

    id: str
    state: str
    type: str
    image: str
    private_ip: str
    mac: str
    subnet: str
    subnet_id: str
    vpc: str
    vpc_cidr: str
    zone: str
    groups: tuple[str, ...]
    public_ip: str = ""
    profile: str = ""
    launched: str = ""


@dataclass(frozen=True)
class Database:
    """A database of the account; `address` is its host name, `subnet` one of its subnets."""

    identifier: str
    status: str
    address: str
    port: int
    user: str
    secret: str
    subnet: str
    groups: tuple[str, ...]
    resource: str = ""  # RDS' own id: another one is another database of the same name


@dataclass(frozen=True)
class View:
    """All of it at one moment."""

    instances: tuple[Instance, ...] = ()
    databases: tuple[Database, ...] = ()
    snapshots: Mapping[str, str] = field(default_factory=dict)  # each with its database
    groups: Mapping[str, Group] | None = None
    s3_vpcs: frozenset[str] = frozenset()

    def group(self, name: str) -> Group:
        """A group by its id; one that is gone lets nothing through."""
        return (self.groups or {}).get(name, Group())


class Account:
    """The account behind an emulator's address, in one region, with the keeper's own rights."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.endpoint = endpoint
        self.region = region
        self._clients: dict[str, Any] = {}
        self._memory: dict[str, int] = {}

    def client(self, service: str) -> Any:
        """A client of one service."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",  # noqa: S106 - worth nothing anywhere
            )
        return self._clients[service]

    @cached_property
    def number(self) -> str:
        """The account's twelve digits."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def look(self) -> View:
        """What there is now."""
        ec2 = self.client("ec2")
        reservations = ec2.describe_instances()["Reservations"]
        found = [i for r in reservations for i in r["Instances"] if i.get("NetworkInterfaces")]
        gone = [i for r in reservations for i in r["Instances"] if not i.get("NetworkInterfaces")]
        subnets = {s["SubnetId"]: s for s in ec2.describe_subnets()["Subnets"]}
        vpcs = {v["VpcId"]: v["CidrBlock"] for v in ec2.describe_vpcs()["Vpcs"]}
        elastic = ec2.describe_addresses()["Addresses"]
        addresses = {a.get("InstanceId"): a["PublicIp"] for a in elastic}
        endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        return View(
            tuple(_instance(i, subnets, vpcs, addresses) for i in found if i not in gone),
            self._databases(subnets),
            self._snapshots(),
            {g["GroupId"]: _group(g) for g in ec2.describe_security_groups()["SecurityGroups"]},
            frozenset(e["VpcId"] for e in endpoints if e["ServiceName"].endswith(".s3")),
        )

    def _databases(self, subnets: Mapping[str, Any]) -> tuple[Database, ...]:
        found = self.client("rds").describe_db_instances()["DBInstances"]
        return tuple(_database(d, subnets) for d in found if d["Engine"] == "postgres")

    def _snapshots(self) -> dict[str, str]:
        found = self.client("rds").describe_db_snapshots()["DBSnapshots"]
        return {s["DBSnapshotIdentifier"]: s["DBInstanceIdentifier"] for s in found}

    def memory_of(self, kind: str) -> int:
        """The bytes of memory that machines of a type have."""
        if kind not in self._memory:
            found = self.client("ec2").describe_instance_types(InstanceTypes=[kind])
            self._memory[kind] = found["InstanceTypes"][0]["MemoryInfo"]["SizeInMiB"] * 2**20
        return self._memory[kind]

    def user_data(self, instance: str) -> bytes:
        """What the instance was given to run."""
        answer = self.client("ec2").describe_instance_attribute(
            InstanceId=instance, Attribute="userData"
        )
        return base64.b64decode(answer.get("UserData", {}).get("Value") or "")

    def role_of(self, profile: str) -> str:
        """The ARN of the role in an instance profile; empty where there is none."""
        name = profile.rpartition("/")[2]
        roles = self.client("iam").get_instance_profile(InstanceProfileName=name)
        return next((str(r["Arn"]) for r in roles["InstanceProfile"]["Roles"]), "")

    def session(self, role: str, name: str) -> dict[str, Any]:
        """Credentials of a role, as STS gives them for an hour."""
        answer = self.client("sts").assume_role(RoleArn=role, RoleSessionName=name)
        found: dict[str, Any] = answer["Credentials"]
        return found

    def secret(self, arn: str) -> str:
        """A secret's value."""
        return str(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])


def _instance(
    value: Mapping[str, Any],
    subnets: Mapping[str, Any],
    vpcs: Mapping[str, str],
    addresses: Mapping[str, str],
) -> Instance:
    interface = value["NetworkInterfaces"][0]
    subnet = subnets[interface["SubnetId"]]
    return Instance(
        id=value["InstanceId"],
        state=value["State"]["Name"],
        type=value["InstanceType"],
        image=value["ImageId"],
        private_ip=interface["PrivateIpAddress"],
        mac=interface["MacAddress"],
        subnet=subnet["CidrBlock"],
        subnet_id=subnet["SubnetId"],
        vpc=subnet["VpcId"],
        vpc_cidr=vpcs[subnet["VpcId"]],
        zone=subnet["AvailabilityZone"],
        groups=tuple(g["GroupId"] for g in interface["Groups"]),
        public_ip=addresses.get(value["InstanceId"], ""),
        profile=value.get("IamInstanceProfile", {}).get("Arn", ""),
        launched=value["LaunchTime"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _database(value: Mapping[str, Any], subnets: Mapping[str, Any]) -> Database:
    places = value.get("DBSubnetGroup", {}).get("Subnets", [])
    names = sorted(place["SubnetIdentifier"] for place in places) or sorted(subnets)
    endpoint = value.get("Endpoint") or {}
    return Database(
        identifier=value["DBInstanceIdentifier"],
        status=value["DBInstanceStatus"],
        address=endpoint.get("Address", ""),
        port=endpoint.get("Port", 5432),
        user=value.get("MasterUsername", "postgres"),
        secret=(value.get("MasterUserSecret") or {}).get("SecretArn", ""),
        subnet=subnets[names[0]]["CidrBlock"],
        groups=tuple(g["VpcSecurityGroupId"] for g in value.get("VpcSecurityGroups", [])),
        resource=value.get("DbiResourceId", ""),
    )


def _group(value: Mapping[str, Any]) -> Group:
    return Group(_rules(value["IpPermissions"]), _rules(value["IpPermissionsEgress"]))


def _rules(permissions: list[dict[str, Any]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(p["IpProtocol"], p.get("FromPort", 0), p.get("ToPort", 65535), *other)
        for p in permissions
        for other in _others(p)
    )


def _others(permission: Mapping[str, Any]) -> list[tuple[str, str]]:
    networks = [(str(ipaddress.ip_network(r["CidrIp"])), "") for r in permission["IpRanges"]]
    return networks + [("", g["GroupId"]) for g in permission["UserIdGroupPairs"]]
