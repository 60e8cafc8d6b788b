output "instance_id" {
  description = "The machine's id, for Session Manager and the alarms."
  value       = aws_instance.this.id
}

# The instance's own attribute would change with the association, after the first apply.
output "public_ip" {
  description = "The Elastic IP: the address that stays."
  value       = aws_eip.this.public_ip
}

output "security_group_id" {
  description = "The server's security group; the database lets no other in."
  value       = aws_security_group.this.id
}

output "image_id" {
  description = "The image that the machine was made from, which later plans keep."
  value       = aws_instance.this.ami
}

output "login_secret_arn" {
  description = "Where the server keeps the name and password of its first account: the secret's ARN, never its value."
  value       = aws_secretsmanager_secret.admin.arn
}

output "role" {
  description = "The name of the machine's own role; null with an instance profile that exists already."
  value       = one(aws_iam_role.this[*].name)
}
