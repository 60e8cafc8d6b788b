output "prefix" {
  description = "What every resource's name starts with; at most 42 characters, within the limits of EC2, IAM (64) and RDS (63)."
  value       = local.prefix
}

output "bucket" {
  description = "The artifact bucket's name: unique per account and region, at most 63 characters."
  value       = local.bucket
}

output "tags" {
  description = "The tags of every resource: the user's, `provision:stack` and `provision:run`, by which a teardown finds what is ours."
  value       = merge(var.tags, { "provision:stack" = var.name }, var.run == null ? {} : { "provision:run" = var.run })
}

output "public_subnet_cidrs" {
  description = "The server's subnets, one for each of two availability zones."
  value       = [for index in [0, 1] : cidrsubnet(var.network_cidr, local.subnet_bits, index)]
}

output "private_subnet_cidrs" {
  description = "The database's subnets, one for each of two availability zones."
  value       = [for index in [2, 3] : cidrsubnet(var.network_cidr, local.subnet_bits, index)]
}
