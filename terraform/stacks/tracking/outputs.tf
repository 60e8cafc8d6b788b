output "account_id" {
  description = "The account that the stack lives in."
  value       = data.aws_caller_identity.me.account_id
}

output "region" {
  description = "The region that the stack lives in."
  value       = var.region
}

output "run" {
  description = "The stack's id, in the tag `provision:run` of every resource; null where none was given."
  value       = var.run
}

output "server" {
  description = "The machine: its id, the address that stays, the image that it was made from, and the ARN of the secret with its first account."
  value = {
    instance_id      = module.tracking_server.instance_id
    public_ip        = module.tracking_server.public_ip
    image_id         = module.tracking_server.image_id
    login_secret_arn = module.tracking_server.login_secret_arn
  }
}

output "artifacts" {
  description = "The bucket and the artifact root in it."
  value = {
    bucket = module.artifact_store.bucket
    uri    = module.artifact_store.uri
  }
}

output "database" {
  description = "The database: its identifier, host name with port, and the ARN of the admin's secret."
  value = {
    identifier       = module.backend_store.identifier
    address          = module.backend_store.address
    admin_secret_arn = module.backend_store.admin_secret_arn
  }
}

output "alarms" {
  description = "The topic and the alarms that write to it."
  value = {
    topic_arn = module.lifetime.topic_arn
    names     = module.lifetime.alarm_names
  }
}

output "schedules" {
  description = "What AWS does by itself, as it was planned, and the group that it is in (null without any)."
  value = {
    planned = module.lifetime.schedules
    group   = module.lifetime.schedule_group
  }
}
