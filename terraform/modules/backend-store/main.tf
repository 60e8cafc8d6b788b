resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "The tracking database's private subnets"
  subnet_ids  = var.network.subnet_ids
}

resource "aws_db_parameter_group" "this" {
  # The major version is in the name: an upgrade makes a second group before the first one goes.
  name        = "${var.name}-postgres${var.engine_major}"
  family      = "postgres${var.engine_major}"
  description = "TLS only; slow statements and changes of the schema are logged"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  # RDS would make the log groups by itself, and leave them behind.
  depends_on = [aws_cloudwatch_log_group.this]

  identifier                 = var.name
  engine                     = "postgres"
  engine_version             = var.engine_major
  auto_minor_version_upgrade = true
  instance_class             = var.instance_class
  parameter_group_name       = aws_db_parameter_group.this.name
  ca_cert_identifier         = var.ca_cert_identifier

  # A database is made from a snapshot once; afterwards it does not matter what it came from.
  snapshot_identifier = var.snapshot

  # AWS makes the password, keeps it in Secrets Manager and renews it each week: it is in no
  # variable, plan or state. The server makes MLflow's own role and database with it.
  username                            = "provision_admin"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true

  storage_type          = "gp3"
  allocated_storage     = var.storage.initial_gib
  max_allocated_storage = var.storage.maximum_gib
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  multi_az               = var.protection.multi_az

  backup_retention_period   = var.protection.backup_days
  copy_tags_to_snapshot     = true
  delete_automated_backups  = true
  deletion_protection       = var.protection.deletion_protection
  skip_final_snapshot       = var.protection.final_snapshot == null
  final_snapshot_identifier = var.protection.final_snapshot

  # Whoever confirmed a plan wants it now, not in the next maintenance window.
  apply_immediately = true

  enabled_cloudwatch_logs_exports = local.logs
  monitoring_interval             = var.observed ? 60 : 0
  monitoring_role_arn             = one(aws_iam_role.monitoring[*].arn)
  performance_insights_enabled    = var.observed
  performance_insights_kms_key_id = var.observed ? var.kms_key_arn : null

  lifecycle {
    ignore_changes = [snapshot_identifier]
  }
}
