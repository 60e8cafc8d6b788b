"""What the services hold that cannot be asked for by tag: listed by name, then judged by tag.

A name alone proves nothing: `churn` is how `churn-course` starts, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.adapters.cloud.failures import code_of
from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import PROTECTED, RUN_TAG, STACK_TAG, Found, Names


def bucket(cloud: Cloud, names: Names) -> Iterator[Found]:
    """The artifact bucket; by its name also where its tags are not set yet.

    A bucket of that name in another account is not ours, and is left out.
    """
    own = cloud.paged("s3", "list_buckets", "Buckets")
    created = [item.get("CreationDate") for item in own if item["Name"] == names.bucket]
    tags = _bucket_tags(cloud, names.bucket) if created else {}
    if created and tags.get(STACK_TAG, names.stack) == names.stack:
        arn = f"arn:{_partition(cloud)}:s3:::{names.bucket}"
        run = tags.get(RUN_TAG)
        yield Found("aws_s3_bucket", names.bucket, arn, names.bucket, run, created[0])


def _bucket_tags(cloud: Cloud, name: str) -> dict[str, str]:
    try:
        return _pairs(cloud.client("s3").get_bucket_tagging(Bucket=name)["TagSet"])
    except Exception as error:
        if code_of(error) == "NoSuchTagSet":
            return {}
        raise


def _partition(cloud: Cloud) -> str:
    return str(cloud.client("s3").meta.partition)


def databases(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Database instances that are not being deleted."""
    for item in cloud.paged("rds", "describe_db_instances", "DBInstances"):
        tags = _pairs(item.get("TagList", []))
        if tags.get(STACK_TAG) == names.stack and item["DBInstanceStatus"] != "deleting":
            groups = [g["VpcSecurityGroupId"] for g in item.get("VpcSecurityGroups", [])]
            yield Found(
                "aws_db_instance",
                item["DBInstanceIdentifier"],
                item["DBInstanceArn"],
                item["DBInstanceIdentifier"],
                tags.get(RUN_TAG),
                item.get("InstanceCreateTime"),
                tuple(groups),
                size_gib=float(item.get("AllocatedStorage", 0)),
                note=PROTECTED if item.get("DeletionProtection") else "",
            )


def database_snapshots(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Snapshots that outlive their database: final ones, and those made by hand."""
    listed = cloud.paged("rds", "describe_db_snapshots", "DBSnapshots", SnapshotType="manual")
    for item in listed:
        tags = _pairs(item.get("TagList", []))
        if tags.get(STACK_TAG) == names.stack:
            name = item["DBSnapshotIdentifier"]
            created = item.get("SnapshotCreateTime")
            arn, run, size = item["DBSnapshotArn"], tags.get(RUN_TAG), item["AllocatedStorage"]
            yield Found("aws_db_snapshot", name, arn, name, run, created, size_gib=float(size))


def automated_backups(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Backups that outlive their database, since somebody ended it and kept them.

    Those of a database that is there go with it. The database's name is one of a kind in account
    and region, so it vouches where backups have no tags.
    """
    answer = cloud.paged(
        "rds", "describe_db_instance_automated_backups", "DBInstanceAutomatedBackups"
    )
    for item in answer:
        name, tags = item["DBInstanceIdentifier"], _pairs(item.get("TagList", []))
        ours = tags.get(STACK_TAG, names.stack if name == names.prefix else "") == names.stack
        if ours and item.get("Status") == "retained":
            yield Found(
                "aws_db_instance_automated_backup",
                item["DbiResourceId"],
                item.get("DBInstanceAutomatedBackupsArn", ""),
                name,
                tags.get(RUN_TAG),
                item.get("InstanceCreateTime"),
                size_gib=float(item.get("AllocatedStorage", 0)),
            )


def subnet_groups(cloud: Cloud, names: Names) -> Iterator[Found]:
    """The database's subnet group."""
    for item in cloud.paged("rds", "describe_db_subnet_groups", "DBSubnetGroups"):
        name, arn = item["DBSubnetGroupName"], item["DBSubnetGroupArn"]
        tags = _rds_tags(cloud, arn) if name == names.prefix else {}
        if tags.get(STACK_TAG) == names.stack:
            parents = (item["VpcId"],) if item.get("VpcId") else ()
            run = tags.get(RUN_TAG)
            yield Found("aws_db_subnet_group", name, arn, name, run, parents=parents)


def parameter_groups(cloud: Cloud, names: Names) -> Iterator[Found]:
    """The database's parameter groups, one for each major version that it had."""
    for item in cloud.paged("rds", "describe_db_parameter_groups", "DBParameterGroups"):
        name, arn = item["DBParameterGroupName"], item["DBParameterGroupArn"]
        tags = _rds_tags(cloud, arn) if name.startswith(f"{names.prefix}-postgres") else {}
        if tags.get(STACK_TAG) == names.stack:
            yield Found("aws_db_parameter_group", name, arn, name, tags.get(RUN_TAG))


def _rds_tags(cloud: Cloud, arn: str) -> dict[str, str]:
    return _pairs(cloud.client("rds").list_tags_for_resource(ResourceName=arn)["TagList"])


def roles(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Roles."""
    for item in cloud.paged("iam", "list_roles", "Roles"):
        name = item["RoleName"]
        if name.startswith(f"{names.prefix}-"):
            tags = _pairs(cloud.paged("iam", "list_role_tags", "Tags", RoleName=name))
            if tags.get(STACK_TAG) == names.stack:
                run, created = tags.get(RUN_TAG), item.get("CreateDate")
                yield Found("aws_iam_role", name, item["Arn"], name, run, created)


def profiles(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Instance profiles."""
    for item in cloud.paged("iam", "list_instance_profiles", "InstanceProfiles"):
        name = item["InstanceProfileName"]
        if name.startswith(f"{names.prefix}-"):
            iam = cloud.client("iam")
            # The listing leaves the tags out.
            whole = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            tags = _pairs(whole.get("Tags", []))
            if tags.get(STACK_TAG) == names.stack:
                run, created = tags.get(RUN_TAG), item.get("CreateDate")
                yield Found("aws_iam_instance_profile", name, item["Arn"], name, run, created)


def log_groups(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Log groups of the network, the database and functions.

    RDS makes its own again when the database still writes while it ends, and gives it no tags.
    """
    database = f"/aws/rds/instance/{names.prefix}/"
    for start in (f"/{names.prefix}/", database, f"/aws/lambda/{names.prefix}-"):
        found = cloud.paged("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=start)
        for item in found:
            arn = item["arn"].removesuffix(":*")
            tags = cloud.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]
            untagged = names.stack if start == database else ""
            if tags.get(STACK_TAG, untagged) == names.stack:
                name = item["logGroupName"]
                yield Found("aws_cloudwatch_log_group", name, arn, name, tags.get(RUN_TAG))


def topics(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Topics."""
    for item in cloud.paged("sns", "list_topics", "Topics"):
        arn = item["TopicArn"]
        name = arn.rpartition(":")[2]
        if name.startswith(f"{names.prefix}-"):
            tags = _pairs(cloud.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"])
            if tags.get(STACK_TAG) == names.stack:
                yield Found("aws_sns_topic", arn, arn, name, tags.get(RUN_TAG))


def budgets(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Budgets, which Terraform imports by account and name."""
    account = cloud.client("sts").get_caller_identity()
    for item in cloud.paged("budgets", "describe_budgets", "Budgets", AccountId=account["Account"]):
        name, arn = item["BudgetName"], _budget_arn(account, item["BudgetName"])
        if name.startswith(f"{names.prefix}-"):
            answer = cloud.client("budgets").list_tags_for_resource(ResourceARN=arn)
            tags = _pairs(answer.get("ResourceTags", []))
            if tags.get(STACK_TAG) == names.stack:
                number = f"{account['Account']}:{name}"
                yield Found("aws_budgets_budget", number, arn, name, tags.get(RUN_TAG))


def _budget_arn(account: Mapping[str, Any], name: str) -> str:
    partition = str(account["Arn"]).split(":")[1]
    return f"arn:{partition}:budgets::{account['Account']}:budget/{name}"


def alarms(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Alarms."""
    start = f"{names.prefix}-"
    listed = cloud.paged("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=start)
    for item in listed:
        name, arn = item["AlarmName"], item["AlarmArn"]
        answer = cloud.client("cloudwatch").list_tags_for_resource(ResourceARN=arn)
        tags = _pairs(answer["Tags"])
        if tags.get(STACK_TAG) == names.stack:
            yield Found("aws_cloudwatch_metric_alarm", name, arn, name, tags.get(RUN_TAG))


def schedules(cloud: Cloud, names: Names) -> Iterator[Found]:
    """The group of schedules, and the schedules in it, which have no tags of their own."""
    groups = cloud.paged(
        "scheduler", "list_schedule_groups", "ScheduleGroups", NamePrefix=names.prefix
    )
    for item in groups:
        name, arn = item["Name"], item["Arn"]
        answer = cloud.client("scheduler").list_tags_for_resource(ResourceArn=arn)
        tags = _pairs(answer.get("Tags", []))
        if name == names.prefix and tags.get(STACK_TAG) == names.stack:
            run, created = tags.get(RUN_TAG), item.get("CreationDate")
            yield Found("aws_scheduler_schedule_group", name, arn, name, run, created)
            inside = cloud.paged("scheduler", "list_schedules", "Schedules", GroupName=name)
            for entry in inside:
                number = f"{name}/{entry['Name']}"
                yield Found(
                    "aws_scheduler_schedule", number, entry["Arn"], entry["Name"], run,
                    parents=(name,),
                )  # fmt: skip


def event_rules(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Rules of EventBridge."""
    start = f"{names.prefix}-"
    for item in cloud.paged("events", "list_rules", "Rules", NamePrefix=start):
        answer = cloud.client("events").list_tags_for_resource(ResourceARN=item["Arn"])
        tags = _pairs(answer["Tags"])
        if tags.get(STACK_TAG) == names.stack:
            name, arn = item["Name"], item["Arn"]
            yield Found("aws_cloudwatch_event_rule", name, arn, name, tags.get(RUN_TAG))


def secrets(cloud: Cloud, names: Names) -> Iterator[Found]:
    """Secrets, those too that wait for their deletion: until then their names are taken.

    RDS makes its own, and deletes them with its instances.
    """
    wanted = [{"Key": "tag-key", "Values": [STACK_TAG]}]
    listed = cloud.paged(
        "secretsmanager", "list_secrets", "SecretList", Filters=wanted, IncludePlannedDeletion=True
    )
    for item in listed:
        tags = _pairs(item.get("Tags", []))
        if tags.get(STACK_TAG) == names.stack and item.get("OwningService") != "rds":
            run, created = tags.get(RUN_TAG), item.get("CreatedDate")
            yield Found(
                "aws_secretsmanager_secret", item["ARN"], item["ARN"], item["Name"], run, created
            )


def _pairs(tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}
