locals {
  prefix = "provision-${var.name}"

  # S3 allows 63 characters. 32 (name) + 12 (account) + 14 (longest region) + "provision-" + two
  # hyphens would be 70: a long name is cut and made unique again by a digest of the whole.
  bucket_full   = "${local.prefix}-${var.account_id}-${var.region}"
  bucket_digest = substr(sha256(local.bucket_full), 0, 8)
  bucket        = length(local.bucket_full) <= 63 ? local.bucket_full : "${trimsuffix(substr(local.bucket_full, 0, 54), "-")}-${local.bucket_digest}"

  subnet_bits = 2
}
