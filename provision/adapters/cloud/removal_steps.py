"""How each kind of thing is deleted, and whether the slow ones are still there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import Found


def _plain(service: str, operation: str, word: str) -> Callable[[Cloud, Found], Any]:
    """A deletion that takes the id and nothing else."""

    def step(cloud: Cloud, item: Found) -> Any:
        return getattr(cloud.client(service), operation)(**{word: item.id})

    return step


def _many(operation: str, word: str) -> Callable[[Cloud, Found], None]:
    """A deletion of EC2's that takes a list, and answers 200 with a list of what it refused."""

    def step(cloud: Cloud, item: Found) -> None:
        answer = getattr(cloud.client("ec2"), operation)(**{word: [item.id]})
        for refused in answer.get("Unsuccessful") or []:
            from botocore.exceptions import ClientError  # noqa: PLC0415

            raise ClientError({"Error": refused["Error"]}, operation)

    return step


def _gateway(cloud: Cloud, item: Found) -> None:
    ec2 = cloud.client("ec2")
    for network in item.parents:
        _unless_gone(ec2.detach_internet_gateway, InternetGatewayId=item.id, VpcId=network)
    ec2.delete_internet_gateway(InternetGatewayId=item.id)


def _route_table(cloud: Cloud, item: Found) -> None:
    ec2 = cloud.client("ec2")
    (table,) = ec2.describe_route_tables(RouteTableIds=[item.id])["RouteTables"]
    for association in table["Associations"]:
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    ec2.delete_route_table(RouteTableId=item.id)


def _group(cloud: Cloud, item: Found) -> None:
    """A group that another one's rule names cannot go: those rules go first."""
    ec2 = cloud.client("ec2")
    for rule in _rules_naming(cloud, item.id):
        _revoke(ec2, rule)
    ec2.delete_security_group(GroupId=item.id)


def _rules_naming(cloud: Cloud, group: str) -> list[dict[str, Any]]:
    network = cloud.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    beside = [{"Name": "vpc-id", "Values": [network[0]["VpcId"]]}]
    groups = cloud.paged("ec2", "describe_security_groups", "SecurityGroups", Filters=beside)
    wanted = [{"Name": "group-id", "Values": [g["GroupId"] for g in groups]}]
    rules = cloud.paged(
        "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=wanted
    )
    return [r for r in rules if (r.get("ReferencedGroupInfo") or {}).get("GroupId") == group]


def _rule(cloud: Cloud, item: Found) -> None:
    way = item.type.startswith("aws_vpc_security_group_egress")
    _revoke(
        cloud.client("ec2"),
        {"IsEgress": way, "GroupId": item.parents[0], "SecurityGroupRuleId": item.id},
    )


def _revoke(ec2: Any, rule: dict[str, Any]) -> None:
    name = "revoke_security_group_egress" if rule["IsEgress"] else "revoke_security_group_ingress"
    _unless_gone(
        getattr(ec2, name),
        GroupId=rule["GroupId"],
        SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
    )


def _address(cloud: Cloud, item: Found) -> None:
    ec2 = cloud.client("ec2")
    (address,) = ec2.describe_addresses(AllocationIds=[item.id])["Addresses"]
    if association := address.get("AssociationId"):
        ec2.disassociate_address(AssociationId=association)
    ec2.release_address(AllocationId=item.id)


def _machine(cloud: Cloud, item: Found) -> None:
    cloud.client("ec2").terminate_instances(InstanceIds=[item.id])


def _database(cloud: Cloud, item: Found) -> None:
    cloud.client("rds").delete_db_instance(
        DBInstanceIdentifier=item.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
    )


def _role(cloud: Cloud, item: Found) -> None:
    iam = cloud.client("iam")
    here = {"RoleName": item.id}
    for profile in cloud.paged(
        "iam", "list_instance_profiles_for_role", "InstanceProfiles", **here
    ):
        name = profile["InstanceProfileName"]
        iam.remove_role_from_instance_profile(InstanceProfileName=name, **here)
    for name in iam.list_role_policies(**here)["PolicyNames"]:
        iam.delete_role_policy(PolicyName=name, **here)
    for policy in cloud.paged("iam", "list_attached_role_policies", "AttachedPolicies", **here):
        iam.detach_role_policy(PolicyArn=policy["PolicyArn"], **here)
    iam.delete_role(**here)


def _profile(cloud: Cloud, item: Found) -> None:
    iam = cloud.client("iam")
    here = {"InstanceProfileName": item.id}
    for role in iam.get_instance_profile(**here)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(RoleName=role["RoleName"], **here)
    iam.delete_instance_profile(**here)


def _alarm(cloud: Cloud, item: Found) -> None:
    cloud.client("cloudwatch").delete_alarms(AlarmNames=[item.id])


def _budget(cloud: Cloud, item: Found) -> None:
    account, _, name = item.id.partition(":")
    cloud.client("budgets").delete_budget(AccountId=account, BudgetName=name)


def _topic(cloud: Cloud, item: Found) -> None:
    """With its subscriptions, which SNS would keep for three days (AWS, DeleteTopic)."""
    sns = cloud.client("sns")
    subscriptions = cloud.paged(
        "sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=item.id
    )
    for subscription in subscriptions:
        if subscription["SubscriptionArn"].startswith("arn:"):  # else it waits to be confirmed
            sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sns.delete_topic(TopicArn=item.id)


def _rule_of_events(cloud: Cloud, item: Found) -> None:
    """Its targets go first: EventBridge deletes no rule that has some."""
    events = cloud.client("events")
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule=item.id)["Targets"]]
    if targets:
        events.remove_targets(Rule=item.id, Ids=targets)
    events.delete_rule(Name=item.id)


def _secret(cloud: Cloud, item: Found) -> None:
    """At once: a secret that waits for its deletion blocks its name for 7 days or more."""
    cloud.client("secretsmanager").delete_secret(SecretId=item.id, ForceDeleteWithoutRecovery=True)


def _unless_gone(call: Callable[..., Any], **arguments: Any) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        call(**arguments)
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        if code != "Gateway.NotAttached" and "NotFound" not in code:
            raise


def _machine_exists(cloud: Cloud, item: Found) -> bool:
    answer = cloud.client("ec2").describe_instances(InstanceIds=[item.id])
    states = [m["State"]["Name"] for r in answer["Reservations"] for m in r["Instances"]]
    return any(state != "terminated" for state in states)


def _database_exists(cloud: Cloud, item: Found) -> bool:
    listed = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=item.id)
    return bool(listed["DBInstances"])


DELETE: Final[dict[str, Callable[[Cloud, Found], Any]]] = {
    "aws_vpc": _plain("ec2", "delete_vpc", "VpcId"),
    "aws_subnet": _plain("ec2", "delete_subnet", "SubnetId"),
    "aws_internet_gateway": _gateway,
    "aws_route_table": _route_table,
    "aws_vpc_endpoint": _many("delete_vpc_endpoints", "VpcEndpointIds"),
    "aws_security_group": _group,
    "aws_vpc_security_group_ingress_rule": _rule,
    "aws_vpc_security_group_egress_rule": _rule,
    "aws_s3_bucket": _plain("s3", "delete_bucket", "Bucket"),
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_cloudwatch_log_group": _plain("logs", "delete_log_group", "logGroupName"),
    "aws_db_parameter_group": _plain("rds", "delete_db_parameter_group", "DBParameterGroupName"),
    "aws_db_subnet_group": _plain("rds", "delete_db_subnet_group", "DBSubnetGroupName"),
    "aws_ebs_volume": _plain("ec2", "delete_volume", "VolumeId"),
    "aws_secretsmanager_secret": _secret,
    "aws_sns_topic": _topic,
    "aws_budgets_budget": _budget,
    "aws_eip": _address,
    "aws_db_instance": _database,
    "aws_instance": _machine,
    "aws_flow_log": _many("delete_flow_logs", "FlowLogIds"),
    "aws_cloudwatch_metric_alarm": _alarm,
    # With all schedules in it (EventBridge Scheduler, DeleteScheduleGroup).
    "aws_scheduler_schedule_group": _plain("scheduler", "delete_schedule_group", "Name"),
    "aws_network_interface": _plain("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "aws_cloudwatch_event_rule": _rule_of_events,
    "aws_lambda_function": _plain("lambda", "delete_function", "FunctionName"),
    "aws_ssm_document": _plain("ssm", "delete_document", "Name"),
    "aws_ssm_parameter": _plain("ssm", "delete_parameter", "Name"),
    "aws_db_snapshot": _plain("rds", "delete_db_snapshot", "DBSnapshotIdentifier"),
    "aws_ebs_snapshot": _plain("ec2", "delete_snapshot", "SnapshotId"),
    "aws_db_instance_automated_backup": _plain(
        "rds", "delete_db_instance_automated_backup", "DbiResourceId"
    ),
}
EXISTS: Final[dict[str, Callable[[Cloud, Found], bool]]] = {
    "aws_instance": _machine_exists,
    "aws_db_instance": _database_exists,
}
