output "vpc_id" {
  description = "The network's id, new or existing."
  value       = local.new ? aws_vpc.this[0].id : var.existing.vpc_id
}

output "public_subnet_id" {
  description = "The subnet that the server lives in."
  value       = local.new ? aws_subnet.public["a"].id : var.existing.public_subnet_id
}

output "private_subnet_ids" {
  description = "The subnets that the database lives in, over at least two zones."
  value       = local.new ? [for key in ["a", "b"] : aws_subnet.private[key].id] : var.existing.private_subnet_ids
}
