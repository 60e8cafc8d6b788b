"""What an account holds, asked of each service itself and not of Terraform's state."""

from __future__ import annotations

from typing import Any

from tests.terraform.emulation import EmulatedAws

# Service, paginated operation, key of the list in its answer, key of the identity ("" for strings).
_LISTS = (
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_volumes", "Volumes", "VolumeId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_key_pairs", "KeyPairs", "KeyName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    ("rds", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName"),
    ("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("iam", "list_users", "Users", "UserName"),
    ("secretsmanager", "list_secrets", "SecretList", "ARN"),
    ("ssm", "describe_parameters", "Parameters", "Name"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("scheduler", "list_schedule_groups", "ScheduleGroups", "Name"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
)


def inventory(aws: EmulatedAws) -> set[str]:
    """Everything in the account and region, as "service kind identity"."""
    clients = {service: aws.client(service) for service, *_ in _LISTS}
    listed = {
        f"{service} {key} {item[identity]}"
        for service, operation, key, identity in _LISTS
        for item in _items(clients[service], operation, key)
        if item.get("State") != "deleted"
    }
    machines = {f"ec2 Instances {name}" for name in instances(aws)}
    return listed | machines | {f"kms Keys {key}" for key in _own_keys(aws)}


def instances(aws: EmulatedAws) -> dict[str, dict[str, Any]]:
    """The machines that are not terminated; AWS lists those too for an hour."""
    pages = _items(aws.client("ec2"), "describe_instances", "Reservations")
    machines = [machine for reservation in pages for machine in reservation["Instances"]]
    return {m["InstanceId"]: m for m in machines if m["State"]["Name"] != "terminated"}


def _own_keys(aws: EmulatedAws) -> set[str]:
    """Keys of the account's own; AWS' keys appear at their first use, cost nothing and stay."""
    kms = aws.client("kms")
    aliases = _items(kms, "list_aliases", "Aliases")
    theirs = {a.get("TargetKeyId") for a in aliases if a["AliasName"].startswith("alias/aws/")}
    return {key["KeyId"] for key in _items(kms, "list_keys", "Keys")} - theirs


def _items(client: Any, operation: str, key: str) -> list[dict[str, Any]]:
    if not client.can_paginate(operation):
        return list(getattr(client, operation)()[key])
    pages = client.get_paginator(operation).paginate()
    return [item for page in pages for item in page.get(key, [])]
