output "identifier" {
  description = "The instance's identifier, as given: known before the database is made, so that nothing waits for it by accident."
  value       = var.name
}

output "address" {
  description = "The database's host name and port; resolves within the network only."
  value       = aws_db_instance.this.endpoint
}

output "admin_secret_arn" {
  description = "Where AWS keeps the admin's name and password: the secret's ARN, never its value."
  value       = one(aws_db_instance.this.master_user_secret[*].secret_arn)
}

output "security_group_id" {
  description = "The database's security group."
  value       = aws_security_group.this.id
}
