"""Which actions of IAM a resource of ours takes: to make it, to look at it, and to remove it.

Recorded from the calls that Terraform 1.11 with the provider 5.100 makes for stacks/tracking (the
profile team with a budget; `up`, a second `up` and `down`), with S3's and IAM's own names for them
(Service Authorization Reference); those of the scheduler are from that reference alone.
`tests/unit/test_rights.py` holds the table against the modules and against those calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALWAYS: Final = (
    "sts:GetCallerIdentity", "tag:GetResources", "ssm:GetParameter",
    "ec2:DescribeAvailabilityZones", "ec2:DescribeVpcs", "ec2:DescribeSnapshots",
    "iam:ListRoles", "iam:ListInstanceProfiles", "iam:GetUser", "rds:DescribeDBSnapshots",
    "secretsmanager:ListSecrets", "sns:ListTopics", "s3:ListAllMyBuckets",
    "logs:DescribeLogGroups", "cloudwatch:DescribeAlarms",
)  # fmt: skip
"""What every `up` and `down` asks, whatever it makes."""

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws_budgets_budget": (
        "budgets:ListTagsForResource", "budgets:ModifyBudget", "budgets:TagResource",
        "budgets:ViewBudget",
    ),
    "aws_cloudwatch_log_group": (
        "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DescribeLogGroups",
        "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource",
    ),
    "aws_cloudwatch_metric_alarm": (
        "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource",
        "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource",
    ),
    "aws_db_instance": (
        "rds:AddTagsToResource", "rds:CreateDBInstance", "rds:DeleteDBInstance",
        "rds:DescribeDBInstances", "rds:ListTagsForResource", "rds:ModifyDBInstance",
        # RDS makes and tags the admin's secret as the caller (RDS user guide, "Password
        # management with Secrets Manager", permissions).
        "kms:DescribeKey", "secretsmanager:CreateSecret", "secretsmanager:TagResource",
    ),
    "aws_db_parameter_group": (
        "rds:AddTagsToResource", "rds:CreateDBParameterGroup", "rds:DeleteDBParameterGroup",
        "rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:ListTagsForResource",
        "rds:ModifyDBParameterGroup",
    ),
    "aws_db_subnet_group": (
        "rds:AddTagsToResource", "rds:CreateDBSubnetGroup", "rds:DeleteDBSubnetGroup",
        "rds:DescribeDBSubnetGroups", "rds:ListTagsForResource",
    ),
    "aws_default_security_group": (
        "ec2:DescribeSecurityGroups", "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
    ),
    "aws_eip": (
        "ec2:AllocateAddress", "ec2:CreateTags", "ec2:DescribeAddresses",
        "ec2:DescribeAddressesAttribute", "ec2:ReleaseAddress",
    ),
    "aws_eip_association": (
        "ec2:AssociateAddress", "ec2:DescribeAddresses", "ec2:DisassociateAddress",
    ),
    "aws_flow_log": (
        "ec2:CreateFlowLogs", "ec2:CreateTags", "ec2:DeleteFlowLogs", "ec2:DescribeFlowLogs",
        "iam:PassRole", "logs:CreateLogDelivery", "logs:DeleteLogDelivery",
    ),
    "aws_iam_instance_profile": (
        "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile",
        "iam:GetInstanceProfile", "iam:PassRole", "iam:RemoveRoleFromInstanceProfile",
        "iam:TagInstanceProfile",
    ),
    "aws_iam_role": (
        "iam:CreateRole", "iam:DeleteRole", "iam:GetRole", "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags",
        "iam:PassRole", "iam:TagRole",
    ),
    "aws_iam_role_policy": ("iam:DeleteRolePolicy", "iam:GetRolePolicy", "iam:PutRolePolicy"),
    "aws_iam_role_policy_attachment": (
        "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:ListAttachedRolePolicies",
    ),
    "aws_instance": (
        "ec2:CreateTags", "ec2:DescribeImages", "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstanceCreditSpecifications", "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances", "ec2:DescribeTags", "ec2:DescribeVolumes",
        "ec2:ModifyInstanceAttribute", "ec2:MonitorInstances", "ec2:RunInstances",
        "ec2:TerminateInstances", "iam:PassRole",
    ),
    "aws_internet_gateway": (
        "ec2:AttachInternetGateway", "ec2:CreateInternetGateway", "ec2:CreateTags",
        "ec2:DeleteInternetGateway", "ec2:DescribeInternetGateways", "ec2:DetachInternetGateway",
    ),
    "aws_route": ("ec2:CreateRoute", "ec2:DeleteRoute", "ec2:DescribeRouteTables"),
    "aws_route_table": (
        "ec2:CreateRouteTable", "ec2:CreateTags", "ec2:DeleteRouteTable",
        "ec2:DescribeRouteTables",
    ),
    "aws_route_table_association": (
        "ec2:AssociateRouteTable", "ec2:DescribeRouteTables", "ec2:DisassociateRouteTable",
    ),
    "aws_s3_bucket": (
        "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion",
        "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS",
        "s3:GetBucketLogging", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy",
        "s3:GetBucketRequestPayment", "s3:GetBucketTagging", "s3:GetBucketVersioning",
        "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetObject", "s3:GetReplicationConfiguration", "s3:ListBucket",
        "s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:PutBucketTagging",
        "s3:PutObject",
    ),
    "aws_s3_bucket_lifecycle_configuration": (
        "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration",
    ),
    "aws_s3_bucket_notification": ("s3:GetBucketNotification", "s3:PutBucketNotification"),
    "aws_s3_bucket_ownership_controls": (
        "s3:GetBucketOwnershipControls", "s3:PutBucketOwnershipControls",
    ),
    "aws_s3_bucket_policy": (
        "s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy",
    ),
    "aws_s3_bucket_public_access_block": (
        "s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock",
    ),
    "aws_s3_bucket_server_side_encryption_configuration": (
        "s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration",
    ),
    "aws_s3_bucket_versioning": ("s3:GetBucketVersioning", "s3:PutBucketVersioning"),
    "aws_secretsmanager_secret": (
        "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret",
        "secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy",
        "secretsmanager:GetSecretValue", "secretsmanager:TagResource",
    ),
    "aws_scheduler_schedule": (
        "iam:PassRole", "scheduler:CreateSchedule", "scheduler:DeleteSchedule",
        "scheduler:GetSchedule", "scheduler:UpdateSchedule",
    ),
    "aws_scheduler_schedule_group": (
        "scheduler:CreateScheduleGroup", "scheduler:DeleteScheduleGroup",
        "scheduler:GetScheduleGroup", "scheduler:ListTagsForResource", "scheduler:TagResource",
    ),
    "aws_security_group": (
        "ec2:CreateSecurityGroup", "ec2:CreateTags", "ec2:DeleteSecurityGroup",
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups",
        "ec2:RevokeSecurityGroupEgress",
    ),
    "aws_sns_topic": (
        "sns:CreateTopic", "sns:DeleteTopic", "sns:GetTopicAttributes", "sns:ListTagsForResource",
        "sns:SetTopicAttributes", "sns:TagResource",
    ),
    "aws_sns_topic_policy": ("sns:GetTopicAttributes", "sns:SetTopicAttributes"),
    "aws_sns_topic_subscription": (
        "sns:GetSubscriptionAttributes", "sns:Subscribe", "sns:Unsubscribe",
    ),
    "aws_subnet": (
        "ec2:CreateSubnet", "ec2:CreateTags", "ec2:DeleteSubnet", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
    ),
    "aws_vpc": (
        "ec2:CreateTags", "ec2:CreateVpc", "ec2:DeleteVpc", "ec2:DescribeNetworkAcls",
        "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcAttribute",
        "ec2:DescribeVpcs", "ec2:ModifyVpcAttribute",
    ),
    "aws_vpc_endpoint": (
        "ec2:CreateTags", "ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints",
        "ec2:DescribePrefixLists", "ec2:DescribeVpcEndpoints",
    ),
    "aws_vpc_security_group_egress_rule": (
        "ec2:AuthorizeSecurityGroupEgress", "ec2:CreateTags", "ec2:DescribeSecurityGroupRules",
        "ec2:RevokeSecurityGroupEgress",
    ),
    "aws_vpc_security_group_ingress_rule": (
        "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateTags", "ec2:DescribeSecurityGroupRules",
        "ec2:RevokeSecurityGroupIngress",
    ),
}  # fmt: skip
