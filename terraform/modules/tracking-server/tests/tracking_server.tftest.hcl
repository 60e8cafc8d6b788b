mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0debian12" }
  }
  mock_resource "aws_security_group" {
    override_during = plan
    defaults        = { id = "sg-server" }
  }
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { id = "provision-churn-server" }
  }
}

variables {
  name                = "provision-churn"
  network             = { vpc_id = "vpc-1", subnet_id = "subnet-1" }
  user_data           = "#cloud-config\n"
  bucket              = "provision-churn-123456789012-eu-west-1"
  database_identifier = "provision-churn"
}

run "credentials_stay_on_the_machine" {
  command = plan

  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Only IMDSv2 with one hop may hand out credentials."
  }
  assert {
    condition     = aws_instance.this.root_block_device[0].encrypted && aws_instance.this.root_block_device[0].volume_type == "gp3"
    error_message = "The disk must be encrypted gp3."
  }
  assert {
    condition     = aws_instance.this.ami == "ami-0debian12" && aws_instance.this.user_data_replace_on_change == false
    error_message = "The image must come from the public parameter, and new user data must not replace the machine."
  }
}

run "closed_unless_networks_are_named" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.https) == 0
    error_message = "Without networks nothing may be open."
  }
}

run "only_https_from_the_networks_named" {
  command = plan

  variables {
    ingress_cidrs = ["203.0.113.0/24", "198.51.100.7/32"]
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.https : "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}/${rule.ip_protocol}"]) == toset(["203.0.113.0/24 443-443/tcp", "198.51.100.7/32 443-443/tcp"])
    error_message = "Port 443 must be open to exactly these networks."
  }
}

run "the_role_may_do_exactly_this" {
  command = plan

  assert {
    condition = sort(flatten([for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement : statement.Action if statement.Effect == "Allow"])) == tolist([
      "rds:DescribeDBInstances",
      "s3:AbortMultipartUpload", "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetBucketLocation",
      "s3:GetObject", "s3:GetObject", "s3:GetObject", "s3:GetObject",
      "s3:ListBucket", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObject", "s3:PutObject",
      "secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
      "sns:Publish",
    ])
    error_message = "The role's actions are a closed list: what MLflow and the machine were seen to need, and no deleting of versions."
  }
  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement : statement.Resource])) == toset([
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1",
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1/artifacts/*",
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1/provision/boot/*",
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1/provision/host/*",
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1/provision/public/*",
      "arn:aws:s3:::provision-churn-123456789012-eu-west-1/provision/transfer/*",
      "arn:aws:sns:eu-west-1:123456789012:provision-churn-alarms",
      "arn:aws:rds:eu-west-1:123456789012:db:provision-churn",
      "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-*",
      "arn:aws:secretsmanager:eu-west-1:123456789012:secret:provision-churn/admin-??????",
    ])
    error_message = "The role must reach this bucket, this database, these two secrets and this topic alone."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/aws:rds:primaryDBInstanceArn"] == "arn:aws:rds:eu-west-1:123456789012:db:provision-churn"
      if statement.Sid == "ReadDatabaseSecret"
    ])
    error_message = "The secrets' common prefix must be narrowed to this database's."
  }
  assert {
    condition     = aws_iam_role_policy_attachment.managed_instance[0].policy_arn == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    error_message = "Session Manager must be the way in."
  }
}

run "the_role_cannot_change_what_runs_as_root" {
  command = plan

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement : "${statement.Resource} ${join(" ", statement.Action)}" if statement.Effect == "Deny"
    ] == ["arn:aws:s3:::provision-churn-123456789012-eu-west-1/provision/host/* s3:DeleteObject s3:DeleteObjectVersion s3:PutObject"]
    error_message = "The program that the host starts must be out of the role's reach."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement :
      !contains(statement.Action, "s3:PutObject") || !contains(flatten([statement.Resource]), "arn:aws:s3:::provision-churn-123456789012-eu-west-1/*")
      if statement.Effect == "Allow"
    ])
    error_message = "Nothing may be written beside artifacts and reports."
  }
}

run "the_place_of_the_first_account_is_empty_and_goes_at_once" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.admin.name == "provision-churn/admin" && aws_secretsmanager_secret.admin.recovery_window_in_days == 0
    error_message = "The secret must have its name, and not block it after a teardown."
  }
}

run "an_own_key_may_be_used_and_no_other" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement : statement.Resource if statement.Sid == "UseKey"]) == var.kms_key_arn
    error_message = "The role must be able to decrypt with the key that encrypts."
  }
}

run "china_has_its_own_names" {
  command = plan

  override_data {
    target = data.aws_partition.here
    values = { partition = "aws-cn" }
  }
  assert {
    condition     = alltrue([for arn in flatten([for statement in jsondecode(aws_iam_role_policy.use[0].policy).Statement : statement.Resource]) : startswith(arn, "arn:aws-cn:")])
    error_message = "Every ARN must be of the partition that the stack lives in."
  }
  assert {
    condition     = jsondecode(aws_iam_role.this[0].assume_role_policy).Statement[0].Principal.Service == "ec2.amazonaws.com.cn"
    error_message = "EC2 has another name in China."
  }
}

run "an_existing_profile_makes_no_role" {
  command = plan

  variables {
    existing_instance_profile = "LabInstanceProfile"
  }
  assert {
    condition     = aws_instance.this.iam_instance_profile == "LabInstanceProfile" && length(aws_iam_role.this) + length(aws_iam_role_policy.use) + length(aws_iam_instance_profile.this) + length(aws_iam_role_policy_attachment.managed_instance) == 0
    error_message = "Where roles are forbidden, none may be planned."
  }
}

run "new_machine_on_new_user_data_only_when_asked" {
  command = plan

  variables {
    user_data_replace_on_change = true
  }
  assert {
    condition     = aws_instance.this.user_data_replace_on_change
    error_message = "The replacement must be possible on request."
  }
}

run "sixteen_kilobytes_fit" {
  command = plan

  variables {
    user_data = join("", [for number in range(1024) : "0123456789abcdef"])
  }
  assert {
    condition     = length(aws_instance.this.user_data) > 0
    error_message = "EC2's own limit must be usable in full."
  }
}

run "more_than_sixteen_kilobytes_are_refused" {
  command = plan

  variables {
    user_data = "${join("", [for number in range(1024) : "0123456789abcdef"])}#"
  }
  expect_failures = [var.user_data]
}

run "the_whole_internet_is_refused" {
  command = plan

  variables {
    ingress_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.ingress_cidrs]
}

run "an_address_without_its_size_is_refused" {
  command = plan

  variables {
    ingress_cidrs = ["203.0.113.7"]
  }
  expect_failures = [var.ingress_cidrs]
}
