"""What AWS does and moto does not: each patch, seen through boto3."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provision.emulator import control
from provision.emulator.client import ACCOUNT, Emulated
from provision.emulator.patches import DEBIAN
from tests.emulator.conftest import Clients
from tests.listeners import EMPTY, answering, listening

pytestmark = pytest.mark.slow
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def image(aws: Clients, region: str = "eu-west-1") -> str:
    return str(aws("ssm", region).get_parameter(Name=DEBIAN)["Parameter"]["Value"])


@pytest.fixture
def subnet(aws: Clients) -> str:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"])


def vpc_of(aws: Clients, subnet: str) -> str:
    return str(aws("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"])


def group_in(aws: Clients, subnet: str) -> str:
    vpc = vpc_of(aws, subnet)
    made = aws("ec2").create_security_group(GroupName=unique("g"), Description="d", VpcId=vpc)
    return str(made["GroupId"])


def test_a_rule_between_groups_keeps_its_description(aws: Clients, subnet: str) -> None:
    inside, outside = group_in(aws, subnet), group_in(aws, subnet)
    pair = {"GroupId": outside, "Description": "from the server"}
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [pair]}
    ec2 = aws("ec2")
    ec2.authorize_security_group_ingress(GroupId=inside, IpPermissions=[rule])
    wanted = [{"Name": "group-id", "Values": [inside]}]
    rules = ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
    assert [r["Description"] for r in rules if not r["IsEgress"]] == ["from the server"]


def test_an_ended_machine_leaves_no_interface(aws: Clients, subnet: str) -> None:
    ec2 = aws("ec2")
    started = ec2.run_instances(ImageId=image(aws), MinCount=1, MaxCount=1, SubnetId=subnet)
    ec2.terminate_instances(InstanceIds=[started["Instances"][0]["InstanceId"]])
    wanted = [{"Name": "subnet-id", "Values": [subnet]}]
    assert ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"] == []


def test_detailed_monitoring_can_be_switched(aws: Clients, subnet: str) -> None:
    ec2 = aws("ec2")
    started = ec2.run_instances(ImageId=image(aws), MinCount=1, MaxCount=1, SubnetId=subnet)
    machine = started["Instances"][0]["InstanceId"]
    for switch, state in (("monitor", "enabled"), ("unmonitor", "disabled")):
        answer = getattr(ec2, f"{switch}_instances")(InstanceIds=[machine])
        assert answer["InstanceMonitorings"][0]["Monitoring"]["State"] == state
        (found,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"]
        assert found["Monitoring"]["State"] == state


def test_a_deleted_vpc_leaves_no_access_list(aws: Clients, subnet: str) -> None:
    ec2, vpc = aws("ec2"), vpc_of(aws, subnet)
    wanted = [{"Name": "vpc-id", "Values": [vpc]}]
    assert len(ec2.describe_network_acls(Filters=wanted)["NetworkAcls"]) == 1
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_network_acls(Filters=wanted)["NetworkAcls"] == []


def test_the_groups_of_a_machines_interface_are_its_own(aws: Clients, subnet: str) -> None:
    group = group_in(aws, subnet)
    card = {
        "DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True,
    }  # fmt: skip
    (machine,) = aws("ec2").run_instances(
        ImageId=image(aws), MinCount=1, MaxCount=1, NetworkInterfaces=[card]
    )["Instances"]
    assert [g["GroupId"] for g in machine["SecurityGroups"]] == [group]


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "ap-southeast-2"])
def test_debian_publishes_an_image_in_every_region(aws: Clients, region: str) -> None:
    named = image(aws, region)
    images = aws("ec2", region).describe_images(Owners=["136693071363"])["Images"]
    assert named in {i["ImageId"] for i in images}
    assert all(i["Name"].startswith("debian-12-amd64-") for i in images)
    started = aws("ec2", region).run_instances(ImageId=named, MinCount=1, MaxCount=1)
    assert started["Instances"][0]["ImageId"] == named


def test_an_images_parameter_is_found_below_its_path(aws: Clients) -> None:
    found = aws("ssm").get_parameters_by_path(Path="/aws/service/debian", Recursive=True)
    assert [p["Name"] for p in found["Parameters"]] == [DEBIAN]


def test_public_parameters_are_not_among_the_accounts_own(aws: Clients) -> None:
    ssm, own = aws("ssm"), unique("own")
    ssm.put_parameter(Name=own, Value="1", Type="String")
    assert image(aws).startswith("ami-")
    listed = {p["Name"] for p in ssm.describe_parameters()["Parameters"]}
    assert own in listed
    assert not [name for name in listed if name.startswith("/aws/")]


def test_aws_own_policies_can_be_attached(aws: Clients) -> None:
    iam, role = aws("iam"), unique("role")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [arn]


def test_a_parameter_that_was_set_says_so(aws: Clients) -> None:
    rds, name = aws("rds"), unique("parameters")
    family = "postgres17"
    rds.create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily=family, Description="d"
    )
    wanted = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[wanted])
    found = rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]
    assert [(p["ParameterName"], p["Source"]) for p in found] == [("rds.force_ssl", "user")]


def database(aws: Clients, **more: Any) -> dict[str, Any]:
    made = aws("rds").create_db_instance(
        DBInstanceIdentifier=unique("db"), Engine="postgres", EngineVersion="17",
        DBInstanceClass="db.t4g.micro", AllocatedStorage=20, MasterUsername="provision_admin",
        ManageMasterUserPassword=True, **more,
    )  # fmt: skip
    value = made["DBInstance"]
    assert isinstance(value, dict)
    return value


def test_databases_are_told_apart(aws: Clients) -> None:
    one, two = database(aws), database(aws)
    assert one["DbiResourceId"] != two["DbiResourceId"]


def test_performance_insights_are_remembered(aws: Clients) -> None:
    made = database(aws, EnablePerformanceInsights=True)
    assert made["PerformanceInsightsEnabled"] is True
    name = made["DBInstanceIdentifier"]
    aws("rds").modify_db_instance(DBInstanceIdentifier=name, EnablePerformanceInsights=False)
    (now,) = aws("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    assert now["PerformanceInsightsEnabled"] is False
    assert database(aws)["PerformanceInsightsEnabled"] is False


def test_a_managed_secret_names_its_user_and_is_secret(aws: Clients) -> None:
    secrets = aws("secretsmanager")
    arns = [database(aws)["MasterUserSecret"]["SecretArn"] for _ in range(2)]
    one, two = (json.loads(secrets.get_secret_value(SecretId=a)["SecretString"]) for a in arns)
    assert one["username"] == two["username"] == "provision_admin"
    assert one["password"] != two["password"]
    assert len(one["password"]) >= 20


@pytest.fixture
def bucket(aws: Clients) -> str:
    name = unique("bucket")
    place = {"LocationConstraint": "eu-west-1"}
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
    return name


def policy_of(bucket: str, **more: Any) -> dict[str, Any]:
    everything = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    plain = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    return {**plain, **more}


@pytest.mark.parametrize("as_list", [True, False])
def test_a_tls_only_bucket_can_be_used(aws: Clients, bucket: str, as_list: bool) -> None:
    s3 = aws("s3")
    statement = policy_of(bucket, Condition={"Bool": {"aws:SecureTransport": "false"}})
    policy = {"Version": "2012-10-17", "Statement": [statement] if as_list else statement}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_object(Bucket=bucket, Key="model", Body=b"1")
    assert s3.get_object(Bucket=bucket, Key="model")["Body"].read() == b"1"
    s3.head_object(Bucket=bucket, Key="model")


def test_a_refusal_without_a_condition_still_holds(aws: Clients, bucket: str) -> None:
    s3 = aws("s3")
    policy = {"Version": "2012-10-17", "Statement": policy_of(bucket)}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="model", Body=b"1")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.fixture
def versioned(aws: Clients, bucket: str) -> str:
    """Keys a to e, three versions each, the newest of c a delete marker."""
    s3 = aws("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in "abcde":
        for body in (b"1", b"2") if key == "c" else (b"1", b"2", b"3"):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.delete_object(Bucket=bucket, Key="c")
    return bucket


@pytest.mark.parametrize("size", [1, 2, 3, 4, 15, 1000])
def test_pages_of_versions_lose_and_repeat_nothing(aws: Clients, versioned: str, size: int) -> None:
    pages = (
        aws("s3")
        .get_paginator("list_object_versions")
        .paginate(Bucket=versioned, PaginationConfig={"PageSize": size})
    )
    found = [v for p in pages for v in (*p.get("Versions", []), *p.get("DeleteMarkers", []))]
    assert len(found) == len({(v["Key"], v["VersionId"]) for v in found}) == 15
    assert sorted(v["Key"] for v in found if v["IsLatest"]) == list("abcde")


def test_a_page_begins_after_its_key_marker(aws: Clients, versioned: str) -> None:
    page = aws("s3").list_object_versions(Bucket=versioned, KeyMarker="c")
    assert sorted({v["Key"] for v in page["Versions"]}) == ["d", "e"]
    page = aws("s3").list_object_versions(Bucket=versioned, KeyMarker="bb", Prefix="d")
    assert {v["Key"] for v in page["Versions"]} == {"d"}


def test_the_newest_version_is_first_and_latest(aws: Clients, versioned: str) -> None:
    s3 = aws("s3")
    versions = s3.list_object_versions(Bucket=versioned, Prefix="a")["Versions"]
    bodies = [
        s3.get_object(Bucket=versioned, Key="a", VersionId=v["VersionId"])["Body"].read()
        for v in versions
    ]
    assert bodies == [b"3", b"2", b"1"]
    assert [v["IsLatest"] for v in versions] == [True, False, False]


def test_a_folder_of_hidden_objects_is_no_folder(aws: Clients, versioned: str) -> None:
    s3 = aws("s3")
    for key in ("folders/a/1", "folders/b/1", "folders/2"):
        s3.put_object(Bucket=versioned, Key=key)
    s3.delete_object(Bucket=versioned, Key="folders/a/1")
    found = s3.list_objects_v2(Bucket=versioned, Prefix="folders/", Delimiter="/")
    assert [folder["Prefix"] for folder in found["CommonPrefixes"]] == ["folders/b/"]
    assert [item["Key"] for item in found["Contents"]] == ["folders/2"]


def test_a_budget_has_tags_subscribers_and_changes(aws: Clients) -> None:
    budgets, name = aws("budgets", "us-east-1"), unique("budget")
    limit = {"Amount": "10", "Unit": "USD"}
    wanted = {
        "BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit,
    }  # fmt: skip
    notification = {
        "NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0,
        "ThresholdType": "PERCENTAGE",
    }  # fmt: skip
    reader = {"SubscriptionType": "EMAIL", "Address": "a@example.com"}
    told = {"Notification": notification, "Subscribers": [reader]}
    budgets.create_budget(
        AccountId=ACCOUNT, Budget=wanted, NotificationsWithSubscribers=[told],
        ResourceTags=[{"Key": "course", "Value": "ml"}],
    )  # fmt: skip
    who = {"AccountId": ACCOUNT, "BudgetName": name}
    asked = budgets.describe_subscribers_for_notification(**who, Notification=notification)
    assert asked["Subscribers"] == [reader]

    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{name}"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "term", "Value": "1"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["course"])
    tags = budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]
    assert tags == [{"Key": "term", "Value": "1"}]

    more = {**wanted, "BudgetLimit": {"Amount": "20", "Unit": "USD"}}
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=more)
    now = budgets.describe_budget(**who)["Budget"]
    assert float(now["BudgetLimit"]["Amount"]) == 20
    budgets.delete_budget(**who)


@pytest.mark.parametrize(
    ("service", "operation", "given"),
    [
        ("ec2", "create_instance_connect_endpoint", {"SubnetId": "subnet-1"}),
        ("rds", "describe_source_regions", {}),
        ("dlm", "get_lifecycle_policies", {}),
    ],
)
def test_what_is_not_emulated_is_said_once_and_in_words(
    aws: Clients, emulated: Emulated, service: str, operation: str, given: dict[str, str]
) -> None:
    """Were it a 500, SDKs would repeat it, and Terraform's provider for many minutes."""
    before = sum(control.met(emulated.endpoint).calls.values())
    with pytest.raises(ClientError) as refused:
        getattr(aws(service, attempts=4), operation)(**given)
    error = refused.value.response
    assert error["Error"]["Code"] == "NotImplemented"
    assert "no answer of AWS" in error["Error"].get("Message", error.get("message", ""))
    assert sum(control.met(emulated.endpoint).calls.values()) == before + 1


def test_saying_again_that_a_secret_is_managed_makes_no_second_one(aws: Clients) -> None:
    secrets = aws("secretsmanager")
    name = database(aws)["DBInstanceIdentifier"]
    before = {secret["ARN"] for secret in secrets.list_secrets()["SecretList"]}
    aws("rds").modify_db_instance(DBInstanceIdentifier=name, ManageMasterUserPassword=True)
    assert {secret["ARN"] for secret in secrets.list_secrets()["SecretList"]} == before


def test_a_notice_reaches_a_webhook_on_this_machine_and_none_elsewhere(aws: Clients) -> None:
    """What was posted outside would have to have a way there: a name, and another address."""
    sns, seen = aws("sns"), []
    topic = sns.create_topic(Name=unique("t"))["TopicArn"]
    with listening(answering(EMPTY, seen)) as listener:
        for host in ("127.0.0.1", "localhost"):
            hook = f"http://{host}:{listener.port}/sns"
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook)
        sns.publish(TopicArn=topic, Subject="full", Message="its disk")
    (request,) = seen
    assert json.loads(request.partition(b"\r\n\r\n")[2])["Message"] == "its disk"
