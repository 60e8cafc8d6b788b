variable "name" {
  description = "Whose states the bucket holds, for example the team's name; becomes part of the bucket's name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The AWS region of the bucket."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account that the bucket belongs to: with other credentials nothing is done. Null accepts the one at hand."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The key that encrypts the states; null takes the account's `aws/s3` key."
  type        = string
  default     = null
}

variable "tags" {
  description = "The user's own tags for the bucket."
  type        = map(string)
  nullable    = false
  default     = {}
}
