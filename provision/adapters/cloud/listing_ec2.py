"""What EC2 holds of a stack; every kind of it can be asked for by tag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import RUN_TAG, STACK_TAG, Found, Names

# A terminated machine is listed for about an hour (AWS, EC2 User Guide), a deleted endpoint too.
_GONE: Final = {"terminated", "shutting-down", "deleted", "deleting"}
_WORLD: Final = "0.0.0.0/0"


def networks(cloud: Cloud, names: Names) -> Iterator[Found]:
    """VPCs."""
    for vpc in _tagged(cloud, names, "describe_vpcs", "Vpcs"):
        yield _found("aws_vpc", vpc, vpc["VpcId"])


def subnets(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Subnets."""
    for subnet in _tagged(cloud, names, "describe_subnets", "Subnets"):
        yield _found("aws_subnet", subnet, subnet["SubnetId"], subnet["VpcId"])


def gateways(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Internet gateways; one that no network has yet has no parent."""
    for gateway in _tagged(cloud, names, "describe_internet_gateways", "InternetGateways"):
        networks = [attachment["VpcId"] for attachment in gateway.get("Attachments", [])]
        yield _found("aws_internet_gateway", gateway, gateway["InternetGatewayId"], *networks)


def routes(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Route tables, the route to the world in them, and the subnets that use them."""
    tables = list(_tagged(cloud, names, "describe_route_tables", "RouteTables"))
    users = [a["SubnetId"] for t in tables for a in t["Associations"] if a.get("SubnetId")]
    subnets = _names_of_subnets(cloud, names) if users else {}
    for table in tables:
        made = _found("aws_route_table", table, table["RouteTableId"], table["VpcId"])
        yield made
        for route in table["Routes"]:
            if route.get("DestinationCidrBlock") == _WORLD and route.get("GatewayId"):
                yield _part("aws_route", f"{made.id}_{_WORLD}", made.name, made, route["GatewayId"])
        for use in table["Associations"]:
            if subnet := use.get("SubnetId"):
                yield _part(
                    "aws_route_table_association",
                    f"{subnet}/{made.id}",
                    subnets.get(subnet, ""),
                    made,
                    subnet,
                )


def _names_of_subnets(cloud: Cloud, names: Names) -> dict[str, str]:
    return {subnet.id: subnet.name for subnet in subnets(cloud, names)}


def endpoints(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Endpoints of a network."""
    for endpoint in _tagged(cloud, names, "describe_vpc_endpoints", "VpcEndpoints"):
        if str(endpoint.get("State", "")).lower() not in _GONE:
            yield _found(
                "aws_vpc_endpoint",
                endpoint,
                endpoint["VpcEndpointId"],
                endpoint["VpcId"],
                created=endpoint.get("CreationTimestamp"),
            )


def groups(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Security groups and the rules in them.

    EC2 gives each new group a rule that lets everything out, and Terraform takes it away in a
    second call: after an interruption it is still there, without a tag.
    """
    for group in _tagged(cloud, names, "describe_security_groups", "SecurityGroups"):
        default = group["GroupName"] == "default"
        kind = "aws_default_security_group" if default else "aws_security_group"
        made = _found(kind, group, group["GroupId"], group["VpcId"])
        yield made
        if not default:
            yield from _rules(cloud, made)


def _rules(cloud: Cloud, group: Found) -> Iterator[Found]:
    wanted = [{"Name": "group-id", "Values": [group.id]}]
    listed = cloud.paged(
        "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=wanted
    )
    for rule in listed:
        tags = _tags(rule)
        untouched = (
            rule["IsEgress"] and rule.get("CidrIpv4") == _WORLD and rule["IpProtocol"] == "-1"
        )
        if STACK_TAG not in tags and not untouched:
            continue
        way = "egress" if rule["IsEgress"] else "ingress"
        other = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
        yield Found(
            type=f"aws_vpc_security_group_{way}_rule",
            id=rule["SecurityGroupRuleId"],
            arn=rule.get("SecurityGroupRuleArn", ""),
            name=rule.get("Description", "") if STACK_TAG in tags else "",
            run=tags.get(RUN_TAG) if STACK_TAG in tags else group.run,
            parents=tuple(parent for parent in (group.id, other) if parent),
        )


def addresses(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Elastic IPs, and what they point to."""
    for address in _tagged(cloud, names, "describe_addresses", "Addresses"):
        made = _found("aws_eip", address, address["AllocationId"])
        yield made
        if association := address.get("AssociationId"):
            machine = address.get("InstanceId", "")
            yield _part("aws_eip_association", association, made.name, made, machine)


def machines(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Machines that are not terminated; their disks go with them."""
    for reservation in _tagged(cloud, names, "describe_instances", "Reservations"):
        for machine in reservation["Instances"]:
            if machine["State"]["Name"] not in _GONE:
                groups = [group["GroupId"] for group in machine.get("SecurityGroups", [])]
                yield _found(
                    "aws_instance",
                    machine,
                    machine["InstanceId"],
                    machine.get("SubnetId", ""),
                    *groups,
                    created=machine.get("LaunchTime"),
                )


def volumes(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Disks that no machine uses."""
    for volume in _tagged(cloud, names, "describe_volumes", "Volumes"):
        if volume["State"] == "available":
            yield _found(
                "aws_ebs_volume", volume, volume["VolumeId"],
                created=volume.get("CreateTime"), size_gib=volume.get("Size", 0),
            )  # fmt: skip


def snapshots(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Snapshots of disks."""
    listed = _tagged(cloud, names, "describe_snapshots", "Snapshots", OwnerIds=["self"])
    for snapshot in listed:
        yield _found(
            "aws_ebs_snapshot", snapshot, snapshot["SnapshotId"],
            created=snapshot.get("StartTime"), size_gib=snapshot.get("VolumeSize", 0),
        )  # fmt: skip


def flow_logs(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Flow logs."""
    for log in _tagged(cloud, names, "describe_flow_logs", "FlowLogs", word="Filter"):
        yield _found(
            "aws_flow_log",
            log,
            log["FlowLogId"],
            log["ResourceId"],
            created=log.get("CreationTime"),
        )


def interfaces(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Network interfaces that nothing uses; the others go with what they are of."""
    listed = _tagged(cloud, names, "describe_network_interfaces", "NetworkInterfaces")
    for item in listed:
        if item.get("Status") == "available":
            # Of its tags, this listing has another name for the list than all others.
            tagged = {**item, "Tags": item.get("TagSet") or []}
            groups = [group["GroupId"] for group in item.get("Groups", [])]
            identity = item["NetworkInterfaceId"]
            yield _found(
                "aws_network_interface", tagged, identity, item.get("SubnetId", ""), *groups
            )


def _tagged(
    cloud: Cloud, names: Names, operation: str, key: str, word: str = "Filters", **more: Any
) -> list[dict[str, Any]]:
    wanted = [{"Name": f"tag:{STACK_TAG}", "Values": [names.stack]}]
    return cloud.paged("ec2", operation, key, **{word: wanted}, **more)


def _found(
    kind: str,
    item: dict[str, Any],
    identity: str,
    *parents: str,
    created: Any = None,
    size_gib: float = 0.0,
) -> Found:
    tags = _tags(item)
    return Found(
        type=kind,
        id=identity,
        arn="",
        name=tags.get("Name", ""),
        run=tags.get(RUN_TAG),
        created=created,
        parents=tuple(parent for parent in parents if parent),
        size_gib=float(size_gib),
    )


def _part(kind: str, identity: str, name: str, whole: Found, other: str) -> Found:
    """A thing without a tag of its own: it belongs to whoever its whole belongs to."""
    parents = tuple(parent for parent in (whole.id, other) if parent)
    return Found(kind, identity, "", name, whole.run, parents=parents)


def _tags(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or []}
