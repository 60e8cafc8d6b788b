"""What others put into a stack's network by hand: the network cannot go while it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import Found

# Interfaces that a service of AWS made for something of ours go with that.
_OF_SERVICES: Final = ("amazon-rds", "amazon-elb", "vpc_endpoint", "interface_vpc_endpoint")


def guests(cloud: Cloud, ours: Iterable[Found]) -> tuple[str, ...]:
    """Machines, interfaces, subnets and groups that lie in our networks and are not ours."""
    known = {item.id for item in ours}
    networks = [item.id for item in ours if item.type == "aws_vpc"]
    if not networks:
        return ()
    with explained(cloud, "see what others put into the network"):
        return tuple(_guests(cloud, known, networks))


def _guests(cloud: Cloud, known: set[str], networks: list[str]) -> Iterator[str]:
    inside = [{"Name": "vpc-id", "Values": networks}]
    for subnet in cloud.paged("ec2", "describe_subnets", "Subnets", Filters=inside):
        if subnet["SubnetId"] not in known:
            yield f"subnet {_named(subnet, subnet['SubnetId'])}"
    for group in cloud.paged("ec2", "describe_security_groups", "SecurityGroups", Filters=inside):
        if group["GroupId"] not in known and group["GroupName"] != "default":
            yield f"security group {group['GroupName']} ({group['GroupId']})"
    listed = cloud.paged("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=inside)
    for item in listed:
        if not _is_ours(item, known):
            machine = (item.get("Attachment") or {}).get("InstanceId")
            of = f" of machine {machine}" if machine else ""
            yield f"network interface {item['NetworkInterfaceId']}{of}"


def _is_ours(item: Mapping[str, Any], known: set[str]) -> bool:
    """By itself, by its machine, or by its groups where a service made it."""
    machine = (item.get("Attachment") or {}).get("InstanceId", "")
    if item["NetworkInterfaceId"] in known or machine in known:
        return True
    made_by = (str(item.get("RequesterId", "")), str(item.get("InterfaceType", "")))
    by_service = item.get("RequesterManaged") or set(made_by) & set(_OF_SERVICES)
    groups = {group["GroupId"] for group in item.get("Groups", [])}
    return bool(by_service and (groups & known or not groups))


def _named(item: Mapping[str, Any], identity: str) -> str:
    name = next((t["Value"] for t in item.get("Tags") or [] if t["Key"] == "Name"), "")
    return f"{name} ({identity})" if name else identity
