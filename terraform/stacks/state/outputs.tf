output "bucket" {
  description = "The bucket that holds the states."
  value       = module.bucket.bucket
}

output "backend" {
  description = "The stack's backend block without its key: S3 keeps the lock too (`use_lockfile`), so that two people never write at once."
  value = {
    bucket       = module.bucket.bucket
    region       = var.region
    encrypt      = true
    use_lockfile = true
  }
}
