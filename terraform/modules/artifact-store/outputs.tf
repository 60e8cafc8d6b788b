output "bucket" {
  description = "The bucket's name, known once the bucket exists."
  value       = aws_s3_bucket.this.id
}

output "uri" {
  description = "The artifact root, as MLflow writes it: apart from what the kit itself keeps in the bucket."
  value       = "s3://${aws_s3_bucket.this.id}/artifacts"
}
