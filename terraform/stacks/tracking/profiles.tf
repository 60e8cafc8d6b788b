locals {
  profiles = {
    course = {
      instance_type               = "t3.small"
      disk_gib                    = 20
      image_parameter             = "/aws/service/debian/release/12/latest/amd64"
      detailed_monitoring         = false
      flow_logs                   = false
      database_class              = "db.t4g.micro"
      database_major              = "16"
      database_initial_gib        = 20
      database_maximum_gib        = 100
      database_observed           = false
      database_ca                 = "rds-ca-rsa2048-g1"
      multi_az                    = false
      deletion_protection         = false
      final_snapshot              = false
      final_snapshot_name         = "${module.naming.prefix}-final"
      backup_days                 = 7
      artifact_noncurrent_days    = 7
      user_data_replace_on_change = false
    }
    team = {
      instance_type               = "t3.medium"
      disk_gib                    = 40
      image_parameter             = "/aws/service/debian/release/12/latest/amd64"
      detailed_monitoring         = true
      flow_logs                   = var.network.existing == null
      database_class              = "db.t4g.medium"
      database_major              = "16"
      database_initial_gib        = 50
      database_maximum_gib        = 500
      database_observed           = true
      database_ca                 = "rds-ca-rsa2048-g1"
      multi_az                    = true
      deletion_protection         = true
      final_snapshot              = true
      final_snapshot_name         = "${module.naming.prefix}-final"
      backup_days                 = 30
      artifact_noncurrent_days    = 90
      user_data_replace_on_change = false
    }
  }

  # Attributes that the user left out are null in `settings`, and do not cover the profile's.
  chosen = merge(local.profiles[var.profile], { for key, value in var.settings : key => value if value != null })
}
