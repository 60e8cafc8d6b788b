"""What Terraform would have made, by a few calls: enough of an account to boot a machine in it.

By hand: `python -m tests.lab.stack FOLDER USER_DATA_FILE` after
`python -m provision.emulator.lab up FOLDER`; prints ids and addresses as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3

from provision.emulator import client

NAME = "provision-demo"
REGION = "eu-west-1"
ALLOWED = "203.0.113.0/24"
ACCOUNT = client.ACCOUNT


@dataclass(frozen=True)
class Stack:
    """Ids of what was made."""

    instance: str
    public_ip: str
    bucket: str
    role: str
    server_group: str
    database: str = ""


class Maker:
    """An account's resources, made with its own rights."""

    def __init__(self, endpoint: str, region: str = REGION) -> None:
        self._endpoint = endpoint
        self._region = region

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=self._region, endpoint_url=self._endpoint,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def stack(
        self,
        user_data: str | Callable[[str, str], str],
        *,
        name: str = NAME,
        database: bool = False,
    ) -> Stack:
        """All of it; user data may need to know the bucket and the Elastic IP."""
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.71.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{self._region}{zone}")
            ["Subnet"]["SubnetId"]
            for cidr, zone in (
                ("10.71.0.0/24", "a"), ("10.71.10.0/24", "a"), ("10.71.11.0/24", "b"),
            )
        ]  # fmt: skip
        ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{self._region}.s3")
        server, behind = self._groups(ec2, vpc, name)
        bucket = f"{name}-artifacts"
        self.client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": self._region}
        )
        role = self._role(name, bucket)
        if database:
            self.database(name, subnets[1:], behind)
        address = ec2.allocate_address(Domain="vpc")
        if not isinstance(user_data, str):
            user_data = user_data(bucket, address["PublicIp"])
        instance = self.machine(name, subnets[0], server, user_data)
        ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=instance)
        return Stack(instance, address["PublicIp"], bucket, role, server, name if database else "")

    def _groups(self, ec2: Any, vpc: str, name: str) -> tuple[str, str]:
        server, behind = (
            ec2.create_security_group(GroupName=f"{name}-{n}", Description=n, VpcId=vpc)["GroupId"]
            for n in ("server", "database")
        )
        https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
        sql = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
        anywhere = [{"CidrIp": "0.0.0.0/0"}]
        for group in (server, behind):
            ec2.revoke_security_group_egress(
                GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": anywhere}]
            )
        ec2.authorize_security_group_ingress(
            GroupId=server, IpPermissions=[{**https, "IpRanges": [{"CidrIp": ALLOWED}]}]
        )
        ec2.authorize_security_group_egress(
            GroupId=server,
            IpPermissions=[
                {**https, "IpRanges": anywhere},
                {**sql, "UserIdGroupPairs": [{"GroupId": behind}]},
            ],
        )
        ec2.authorize_security_group_ingress(
            GroupId=behind, IpPermissions=[{**sql, "UserIdGroupPairs": [{"GroupId": server}]}]
        )
        return server, behind

    def _role(self, name: str, bucket: str) -> str:
        iam = self.client("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                           "Principal": {"Service": "ec2.amazonaws.com"}}],
        }  # fmt: skip
        role = f"{name}-server"
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(
            RoleName=role, PolicyName="use", PolicyDocument=json.dumps(self._rights(name, bucket))
        )
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        return role

    def _rights(self, name: str, bucket: str) -> dict[str, Any]:
        """As the module `tracking-server` writes them."""
        database = f"arn:aws:rds:{self._region}:{ACCOUNT}:db:{name}"
        secrets = f"arn:aws:secretsmanager:{self._region}:{ACCOUNT}:secret"
        objects = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject",
                   "s3:ListMultipartUploadParts", "s3:PutObject"]  # fmt: skip
        statements: list[dict[str, Any]] = [
            {"Action": ["s3:GetBucketLocation", "s3:ListBucket"],
             "Resource": f"arn:aws:s3:::{bucket}"},
            {"Action": objects, "Resource": f"arn:aws:s3:::{bucket}/*"},
            {"Action": ["rds:DescribeDBInstances"], "Resource": database},
            {"Action": ["secretsmanager:GetSecretValue"], "Resource": f"{secrets}:rds!db-*",
             "Condition": {"StringEquals": {
                 "aws:ResourceTag/aws:rds:primaryDBInstanceArn": database}}},
            {"Action": ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
             "Resource": f"{secrets}:{name}/admin-*"},
        ]  # fmt: skip
        statements = [{"Effect": "Allow", **statement} for statement in statements]
        statements.append(
            {"Effect": "Deny", "Action": ["s3:PutObject", "s3:DeleteObject"],
             "Resource": f"arn:aws:s3:::{bucket}/provision/host/*"}
        )  # fmt: skip
        return {"Version": "2012-10-17", "Statement": statements}

    def database(self, name: str, subnets: list[str], group: str) -> None:
        rds = self.client("rds")
        rds.create_db_subnet_group(
            DBSubnetGroupName=name, DBSubnetGroupDescription=name, SubnetIds=subnets
        )
        rds.create_db_instance(
            DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.micro",
            MasterUsername="provision_admin", ManageMasterUserPassword=True, AllocatedStorage=20,
            DBSubnetGroupName=name, VpcSecurityGroupIds=[group],
        )  # fmt: skip
        self.client("secretsmanager").create_secret(Name=f"{name}/admin")

    def machine(self, name: str, subnet: str, group: str, user_data: str) -> str:
        made = self.client("ec2").run_instances(
            ImageId=self.image(), InstanceType="t3.small", MinCount=1, MaxCount=1,
            UserData=user_data, IamInstanceProfile={"Name": f"{name}-server"},
            NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}],
        )  # fmt: skip
        return str(made["Instances"][0]["InstanceId"])

    def image(self) -> str:
        name = "/aws/service/debian/release/12/latest/amd64"
        return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def main(words: list[str]) -> None:
    folder, user_data = Path(words[0]), Path(words[1])
    account = client.find(folder / "account")
    assert account is not None, f"no emulated account in {folder}/account"
    made = Maker(account.endpoint).stack(user_data.read_text(), database="--database" in words)
    sys.stdout.write(json.dumps(asdict(made), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
