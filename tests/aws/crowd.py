"""An account full of things: one stack with all that it may leave, and others that look like it."""

from __future__ import annotations

from typing import Any

from tests.aws.stack import REGION
from tests.terraform.emulation import ACCOUNT, EmulatedAws

RUN = "20261101-aaaaaaaaaaaa"
OTHER_RUN = "20261102-bbbbbbbbbbbb"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
  "Principal": {"Service": "ec2.amazonaws.com"}}]}"""
RIGHTS = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket",
  "Resource": "arn:aws:s3:::some"}]}"""


class Crowd:
    """Makes things for `stack`, with its tags or (`None`) without any.

    `name` is what the things are called: `provision-NAME`. Without `owned`, only what every account
    may have several of is made: what lies in a network, a database and so on have it once.
    """

    def __init__(
        self, aws: EmulatedAws, name: str, stack: str | None, run: str | None = RUN
    ) -> None:
        self.aws = aws
        self.prefix = f"provision-{name}"
        self.tags = {"provision:stack": stack} if stack else {"team": "vision"}
        if stack and run:
            self.tags["provision:run"] = run
        self.pairs = [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def _spec(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        named = [{"Key": "Name", "Value": self.prefix + name}]
        return [{"ResourceType": kind, "Tags": [*self.pairs, *named]}]

    def network(self) -> str:
        """A network with all that lies in it, and a machine with an address."""
        ec2 = self.aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/20", TagSpecifications=self._spec("vpc"))
        self.vpc = str(vpc["Vpc"]["VpcId"])
        self.subnets = []
        for letter, block in (("a", "10.9.0.0/24"), ("b", "10.9.1.0/24")):
            made = ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=block, AvailabilityZone=f"{REGION}{letter}",
                TagSpecifications=self._spec("subnet", f"-public-{letter}"),
            )  # fmt: skip
            self.subnets.append(made["Subnet"]["SubnetId"])
        gateway = ec2.create_internet_gateway(TagSpecifications=self._spec("internet-gateway"))
        identity = gateway["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=identity, VpcId=self.vpc)
        table = ec2.create_route_table(VpcId=self.vpc, TagSpecifications=self._spec("route-table"))[
            "RouteTable"
        ]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=identity)
        ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnets[0])
        self.group = ec2.create_security_group(
            GroupName=f"{self.prefix}-server", Description="d", VpcId=self.vpc,
            TagSpecifications=self._spec("security-group", "-server"),
        )["GroupId"]  # fmt: skip
        self._machine(ec2)
        return self.vpc

    def _machine(self, ec2: Any) -> None:
        image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        made = ec2.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, SubnetId=self.subnets[0],
            SecurityGroupIds=[self.group], TagSpecifications=self._spec("instance"),
        )  # fmt: skip
        address = ec2.allocate_address(Domain="vpc", TagSpecifications=self._spec("elastic-ip"))[
            "AllocationId"
        ]
        ec2.associate_address(AllocationId=address, InstanceId=made["Instances"][0]["InstanceId"])
        ec2.create_network_interface(
            SubnetId=self.subnets[1], Groups=[self.group],
            TagSpecifications=self._spec("network-interface"),
        )  # fmt: skip

    def disks(self) -> None:
        """A disk that nothing uses, and a snapshot of it."""
        ec2 = self.aws.client("ec2")
        disk = ec2.create_volume(
            AvailabilityZone=f"{REGION}a", Size=8, TagSpecifications=self._spec("volume")
        )["VolumeId"]
        ec2.create_snapshot(VolumeId=disk, TagSpecifications=self._spec("snapshot"))

    def database(self, *, protected: bool = False) -> None:
        """A database with its groups, and a snapshot that somebody made of it."""
        rds = self.aws.client("rds")
        rds.create_db_subnet_group(
            DBSubnetGroupName=self.prefix, DBSubnetGroupDescription="d", SubnetIds=self.subnets,
            Tags=self.pairs,
        )  # fmt: skip
        rds.create_db_parameter_group(
            DBParameterGroupName=f"{self.prefix}-postgres16", DBParameterGroupFamily="postgres16",
            Description="d", Tags=self.pairs,
        )  # fmt: skip
        rds.create_db_instance(
            DBInstanceIdentifier=self.prefix, DBInstanceClass="db.t4g.micro", Engine="postgres",
            AllocatedStorage=20, MasterUsername="u", MasterUserPassword="password-1234",
            DBSubnetGroupName=self.prefix, DeletionProtection=protected, Tags=self.pairs,
            VpcSecurityGroupIds=[self.group],
        )  # fmt: skip
        rds.create_db_snapshot(
            DBSnapshotIdentifier=f"{self.prefix}-before-exam", DBInstanceIdentifier=self.prefix,
            Tags=self.pairs,
        )  # fmt: skip

    def bucket(self, suffix: str = f"-{ACCOUNT}-{REGION}") -> None:
        """A versioned bucket with versions, a delete marker and an unfinished upload."""
        s3, name = self.aws.client("s3"), self.prefix + suffix
        place = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": self.pairs})
        for body in (b"first", b"second"):
            s3.put_object(Bucket=name, Key="1/model.pkl", Body=body)
        s3.delete_object(Bucket=name, Key="1/model.pkl")
        s3.create_multipart_upload(Bucket=name, Key="huge.bin")

    def names(self) -> None:
        """What is listed by name, and then judged by its tags."""
        self._identity()
        logs = self.aws.client("logs")
        for group in (f"/{self.prefix}/flow", f"/aws/lambda/{self.prefix}-night"):
            logs.create_log_group(logGroupName=group, tags=self.tags)
        self.aws.client("sns").create_topic(Name=f"{self.prefix}-alarms", Tags=self.pairs)
        self.aws.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{self.prefix}-cpu", MetricName="CPUUtilization", Namespace="AWS/EC2",
            ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Period=60,
            Statistic="Average", Threshold=90, Tags=self.pairs,
        )  # fmt: skip
        secrets = self.aws.client("secretsmanager")
        for name in ("admin", "old"):
            secrets.create_secret(Name=f"{self.prefix}/{name}", SecretString="s", Tags=self.pairs)
        secrets.delete_secret(SecretId=f"{self.prefix}/old", RecoveryWindowInDays=7)
        self.aws.client("budgets").create_budget(
            AccountId=ACCOUNT,
            Budget={
                "BudgetName": f"{self.prefix}-month", "BudgetType": "COST", "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": "10", "Unit": "USD"},
            },
            ResourceTags=self.pairs,
        )  # fmt: skip

    def _identity(self) -> None:
        iam, role = self.aws.client("iam"), f"{self.prefix}-server"
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST, Tags=self.pairs)
        iam.put_role_policy(RoleName=role, PolicyName="use", PolicyDocument=RIGHTS)
        iam.create_instance_profile(InstanceProfileName=role, Tags=self.pairs)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)

    def clockwork(self) -> None:
        """Schedules in a group, a function, and a document of Systems Manager."""
        scheduler = self.aws.client("scheduler")
        scheduler.create_schedule_group(Name=self.prefix, Tags=self.pairs)
        scheduler.create_schedule(
            Name="night", GroupName=self.prefix, ScheduleExpression="cron(0 20 * * ? *)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances",
                    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{self.prefix}-server"},
        )  # fmt: skip
        self.aws.client("lambda").create_function(
            FunctionName=f"{self.prefix}-night", Runtime="python3.13", Handler="a.b",
            Role=f"arn:aws:iam::{ACCOUNT}:role/{self.prefix}-server", Code={"ZipFile": b"PK"},
            Tags=self.tags,
        )  # fmt: skip
        self.aws.client("ssm").create_document(
            Name=f"{self.prefix}-mend", DocumentType="Command", Tags=self.pairs,
            Content='{"schemaVersion": "2.2", "mainSteps": []}', DocumentFormat="JSON",
        )  # fmt: skip

    def backups(self) -> None:
        """Those of a database that somebody deleted, and told RDS to keep them."""
        rds = self.aws.client("rds")
        name = f"{self.prefix}-older"
        rds.create_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro", Engine="postgres",
            AllocatedStorage=20, MasterUsername="u", MasterUserPassword="password-1234",
            BackupRetentionPeriod=7, Tags=self.pairs,
        )  # fmt: skip
        rds.delete_db_instance(
            DBInstanceIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False
        )

    def others(self) -> str:
        """Kinds that no module makes: found by AWS' index of tags. Returns the key's id."""
        ssm, events = self.aws.client("ssm"), self.aws.client("events")
        ssm.put_parameter(Name=f"/{self.prefix}/note", Value="v", Type="String", Tags=self.pairs)
        events.put_rule(
            Name=f"{self.prefix}-night", ScheduleExpression="rate(1 day)", Tags=self.pairs
        )
        events.put_targets(
            Rule=f"{self.prefix}-night", Targets=[{"Id": "1", "Arn": "arn:aws:sns:x:y:z"}]
        )
        tags = [{"TagKey": key, "TagValue": value} for key, value in self.tags.items()]
        key = self.aws.client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
        return str(key)

    def everything(self, *, protected: bool = False) -> str:
        """All of it; returns the key's id."""
        self.network()
        self.disks()
        self.database(protected=protected)
        self.bucket()
        self.names()
        self.clockwork()
        self.backups()
        return self.others()
