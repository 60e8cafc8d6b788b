data "aws_caller_identity" "me" {}

module "naming" {
  source = "../../modules/naming"

  name         = var.name
  account_id   = data.aws_caller_identity.me.account_id
  region       = var.region
  tags         = var.tags
  run          = var.run
  network_cidr = var.network.cidr
}

module "network" {
  source = "../../modules/network"

  name                 = module.naming.prefix
  cidr                 = var.network.cidr
  public_subnet_cidrs  = module.naming.public_subnet_cidrs
  private_subnet_cidrs = module.naming.private_subnet_cidrs
  zones                = var.network.zones
  existing             = var.network.existing
  flow_logs            = local.chosen.flow_logs
  kms_key_arn          = var.access.kms_key_arn
}

module "artifact_store" {
  source = "../../modules/artifact-store"

  bucket          = module.naming.bucket
  noncurrent_days = local.chosen.artifact_noncurrent_days
  kms_key_arn     = var.access.kms_key_arn
}

module "tracking_server" {
  source = "../../modules/tracking-server"

  name                        = module.naming.prefix
  network                     = { vpc_id = module.network.vpc_id, subnet_id = module.network.public_subnet_id }
  ingress_cidrs               = var.access.ingress_cidrs
  user_data                   = var.user_data
  user_data_replace_on_change = local.chosen.user_data_replace_on_change
  existing_instance_profile   = var.access.existing_instance_profile
  kms_key_arn                 = var.access.kms_key_arn

  # By name, not by the modules' outputs: the machine and its rights wait for neither.
  bucket              = module.naming.bucket
  database_identifier = module.naming.prefix

  machine = {
    type                = local.chosen.instance_type
    disk_gib            = local.chosen.disk_gib
    image_parameter     = local.chosen.image_parameter
    detailed_monitoring = local.chosen.detailed_monitoring
  }
}

module "backend_store" {
  source = "../../modules/backend-store"

  name                     = module.naming.prefix
  network                  = { vpc_id = module.network.vpc_id, subnet_ids = module.network.private_subnet_ids }
  client_security_group_id = module.tracking_server.security_group_id
  engine_major             = local.chosen.database_major
  instance_class           = local.chosen.database_class
  observed                 = local.chosen.database_observed
  ca_cert_identifier       = local.chosen.database_ca
  kms_key_arn              = var.access.kms_key_arn
  snapshot                 = var.settings.database_snapshot

  storage = {
    initial_gib = local.chosen.database_initial_gib
    maximum_gib = local.chosen.database_maximum_gib
  }
  protection = {
    multi_az            = local.chosen.multi_az
    deletion_protection = local.chosen.deletion_protection
    backup_days         = local.chosen.backup_days
    final_snapshot      = local.chosen.final_snapshot ? local.chosen.final_snapshot_name : null
  }
}

module "lifetime" {
  source = "../../modules/lifetime"

  name                = module.naming.prefix
  ends_on             = var.lifetime.ends_on
  alarm_email         = var.lifetime.alarm_email
  budget              = var.lifetime.budget == null ? null : { usd_per_month = var.lifetime.budget, stack = var.name }
  instance_id         = module.tracking_server.instance_id
  database_identifier = module.backend_store.identifier
  server_role         = module.tracking_server.role
  kms_key_arn         = var.access.kms_key_arn
  webhook             = var.lifetime.webhook
  schedules           = var.lifetime.schedules
}
