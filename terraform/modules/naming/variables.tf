variable "name" {
  description = "The stack's name: lowercase letters, digits and single hyphens, 2 to 32 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]*[a-z0-9])$", var.name)) && length(var.name) <= 32 && !strcontains(var.name, "--")
    error_message = "The name must start with a letter, hold only a-z, 0-9 and single hyphens, and be 2 to 32 characters long: choose another name in provision.yaml."
  }
}

variable "account_id" {
  description = "The AWS account's 12 digits; part of the bucket's name, which is unique in all of AWS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An AWS account id has exactly 12 digits."
  }
}

variable "region" {
  description = "The AWS region, for example eu-west-1; part of the bucket's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like eu-west-1: set one that your account has switched on."
  }
}

variable "tags" {
  description = "The user's own tags, put on every resource beside the kit's."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(key, "provision:")])
    error_message = "Tag keys that start with aws: or provision: are reserved: rename them in provision.yaml."
  }
}

variable "run" {
  description = "The id that the kit made for this stack, put on every resource as `provision:run`: by it, what an interrupted run left is told from what another stack of the same name made. Null leaves the tag out."
  type        = string
  default     = null

  validation {
    condition     = var.run == null ? true : can(regex("^[a-z0-9][a-z0-9-]{6,38}[a-z0-9]$", var.run))
    error_message = "A run's id is 8 to 40 characters of a-z, 0-9 and hyphens: take the one in the stack's record, or leave it out."
  }
}

variable "network_cidr" {
  description = "The network's IPv4 range, from /16 to /24; four subnets are cut from it."
  type        = string
  nullable    = false
  default     = "10.87.0.0/20"

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && try(tonumber(split("/", var.network_cidr)[1]) >= 16 && tonumber(split("/", var.network_cidr)[1]) <= 24, false)
    error_message = "The network must be an IPv4 range from /16 to /24, for example 10.87.0.0/20."
  }
}
