mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_security_group" {
    override_during = plan
    defaults        = { id = "sg-database" }
  }
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::123456789012:role/monitoring" }
  }
}

variables {
  name                     = "provision-churn"
  network                  = { vpc_id = "vpc-1", subnet_ids = ["subnet-2", "subnet-3"] }
  client_security_group_id = "sg-server"
}

run "private_encrypted_and_backed_up" {
  command = plan

  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_subnet_group.this.subnet_ids == toset(["subnet-2", "subnet-3"])
    error_message = "The database must be in the private subnets, without a public address."
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.storage_type == "gp3"
    error_message = "The storage must be encrypted gp3."
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 7 && aws_db_instance.this.copy_tags_to_snapshot
    error_message = "There must be backups, with the stack's tags, or a sweep does not find them."
  }
  assert {
    condition     = aws_db_instance.this.max_allocated_storage == 100 && aws_db_instance.this.auto_minor_version_upgrade && aws_db_instance.this.engine_version == "16"
    error_message = "The storage must grow by itself, and the minor version follow AWS."
  }
  assert {
    condition     = aws_db_instance.this.ca_cert_identifier == "rds-ca-rsa2048-g1"
    error_message = "The certificate authority must be pinned."
  }
}

run "the_password_is_made_by_aws" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null && aws_db_instance.this.password_wo_version == null
    error_message = "No password may pass through Terraform."
  }
  assert {
    condition     = aws_db_instance.this.username == "provision_admin"
    error_message = "The admin's name must be our own, not the engine's default."
  }
}

run "empty_or_out_of_a_snapshot" {
  command = plan

  variables {
    snapshot = "provision-churn-before-the-exam"
  }

  assert {
    condition     = aws_db_instance.this.snapshot_identifier == "provision-churn-before-the-exam" && aws_db_instance.this.identifier == "provision-churn"
    error_message = "A database must be made from the snapshot that is named, under the stack's own name."
  }
}

run "tls_only" {
  command = plan

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "rds.force_ssl must be set: its default differs between versions."
  }
  assert {
    condition     = aws_db_parameter_group.this.family == "postgres16" && aws_db_instance.this.parameter_group_name == aws_db_parameter_group.this.name
    error_message = "The group must fit the version, and be used."
  }
}

run "only_the_server_gets_in" {
  command = plan

  assert {
    condition     = aws_vpc_security_group_ingress_rule.from_server.referenced_security_group_id == "sg-server" && aws_vpc_security_group_ingress_rule.from_server.cidr_ipv4 == null
    error_message = "The one way in must be the server's security group."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.from_server.from_port == 5432 && aws_vpc_security_group_ingress_rule.from_server.to_port == 5432
    error_message = "PostgreSQL's port alone must be open."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.server_to_database.security_group_id == "sg-server" && aws_vpc_security_group_egress_rule.server_to_database.referenced_security_group_id == "sg-database"
    error_message = "The server must be allowed to call the database."
  }
}

run "removable_on_request" {
  command = plan

  variables {
    protection = { multi_az = false, deletion_protection = false }
    observed   = false
  }
  assert {
    condition     = !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.multi_az
    error_message = "Without protection the database must go in one step."
  }
  assert {
    condition     = length(aws_iam_role.monitoring) == 0 && length(aws_cloudwatch_log_group.this) == 0
    error_message = "Without observation there must be neither role nor log group."
  }
}

run "protected_unless_told_otherwise" {
  command = plan

  variables {
    protection = { backup_days = 30, final_snapshot = "provision-churn-final" }
  }
  assert {
    condition     = aws_db_instance.this.deletion_protection && aws_db_instance.this.multi_az && aws_db_instance.this.backup_retention_period == 30
    error_message = "Whoever says nothing must get a protected database."
  }
  assert {
    condition     = !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == "provision-churn-final"
    error_message = "The last snapshot must be taken under the name asked for."
  }
  assert {
    condition     = aws_db_instance.this.monitoring_interval == 60 && aws_db_instance.this.performance_insights_enabled && toset(aws_db_instance.this.enabled_cloudwatch_logs_exports) == toset(["postgresql", "upgrade"])
    error_message = "The database must be observed."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.retention_in_days == 365]) && length(aws_cloudwatch_log_group.this) == 2
    error_message = "The log groups must be ours, with an end, or RDS leaves endless ones behind."
  }
}

run "a_region_without_that_authority_takes_its_default" {
  command = plan

  variables {
    ca_cert_identifier = null
  }
  assert {
    condition     = length(aws_db_parameter_group.this.parameter) == 3
    error_message = "The rest must be planned all the same."
  }
}

run "a_minor_version_is_refused" {
  command = plan

  variables {
    engine_major = "16.3"
  }
  expect_failures = [var.engine_major]
}

run "no_backups_are_refused" {
  command = plan

  variables {
    protection = { backup_days = 0 }
  }
  expect_failures = [var.protection]
}

run "a_ceiling_below_the_start_is_refused" {
  command = plan

  variables {
    storage = { initial_gib = 200 }
  }
  expect_failures = [var.storage]
}

run "a_name_too_long_for_rds_is_refused" {
  command = plan

  variables {
    name = "provision-abcdefghij-abcdefghij-abcdefghij-abc"
  }
  expect_failures = [var.name]
}
