variable "bucket" {
  description = "The bucket's name: unique in all of AWS, 3 to 63 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name has 3 to 63 of a-z, 0-9 and hyphens, and neither starts nor ends with a hyphen: take the naming module's."
  }
}

variable "noncurrent_days" {
  description = "Days for which an overwritten or deleted artifact can still be brought back."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "S3 counts in whole days, and at least one: set noncurrent_days to 1 or more."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the objects; null takes the account's `aws/s3` key, which costs nothing to keep."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Delete the bucket even with objects in it. Empty it by its own step instead: this one is slow and asks nobody."
  type        = bool
  nullable    = false
  default     = false
}
