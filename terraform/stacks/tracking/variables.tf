variable "name" {
  description = "The stack's name: lowercase letters, digits and single hyphens, 2 to 32 characters."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The AWS region, for example eu-west-1."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account that the stack belongs to: with other credentials nothing is done. Null accepts the one at hand."
  type        = string
  default     = null
}

variable "run" {
  description = "The id that the kit made for this stack before its first call, the same for all its life: every resource carries it. Null, where the kit does not drive the stack, leaves that tag out."
  type        = string
  default     = null
}

variable "profile" {
  description = "`course`: cheap and gone in one go. `team`: a standby database, protection against deletion, logs and longer backups."
  type        = string
  nullable    = false
  default     = "course"

  validation {
    condition     = contains(["course", "team"], var.profile)
    error_message = "The profile is course or team: choose one, and change single settings in `settings`."
  }
}

variable "settings" {
  description = "Single settings that differ from the profile's; what is left out is as the profile says. A database is made from `database_snapshot` where there is none, and then no longer asks what it says."
  type = object({
    instance_type       = optional(string)
    disk_gib            = optional(number)
    image_parameter     = optional(string)
    detailed_monitoring = optional(bool)
    flow_logs           = optional(bool)

    database_class       = optional(string)
    database_major       = optional(string)
    database_initial_gib = optional(number)
    database_maximum_gib = optional(number)
    database_observed    = optional(bool)
    database_ca          = optional(string)
    multi_az             = optional(bool)
    deletion_protection  = optional(bool)
    final_snapshot       = optional(bool)
    final_snapshot_name  = optional(string)
    backup_days          = optional(number)
    database_snapshot    = optional(string)

    artifact_noncurrent_days    = optional(number)
    user_data_replace_on_change = optional(bool)
  })
  nullable = false
  default  = {}
}

variable "network" {
  description = "The network: the range of a new one and its two zones, or an existing one."
  type = object({
    cidr  = optional(string, "10.87.0.0/20")
    zones = optional(list(string))
    existing = optional(object({
      vpc_id             = string
      public_subnet_id   = string
      private_subnet_ids = list(string)
    }))
  })
  nullable = false
  default  = {}
}

variable "access" {
  description = "Who may get in (IPv4 networks; none means by tunnel alone), an instance profile where the account forbids making roles, and the team's own encryption key."
  type = object({
    ingress_cidrs             = optional(set(string), [])
    existing_instance_profile = optional(string)
    kms_key_arn               = optional(string)
  })
  nullable = false
  default  = {}
}

variable "user_data" {
  description = "What the machine runs at its first boot; made by the kit, without a secret in it."
  type        = string
  nullable    = false
}

variable "lifetime" {
  description = "The day after which the stack may go (YYYY-MM-DD), the addresses that notices are sent to, the US dollars a month at which they are told of costs, and what AWS does by itself."
  type = object({
    ends_on     = optional(string)
    alarm_email = optional(string)
    webhook     = optional(string)
    budget      = optional(number)
    schedules = optional(map(object({
      does   = string
      when   = string
      zone   = optional(string, "UTC")
      starts = optional(string)
      ends   = optional(string)
      says   = optional(string, "")
      asleep = optional(bool, false)
    })), {})
  })
  nullable = false
  default  = {}
}

variable "tags" {
  description = "The user's own tags, for every resource."
  type        = map(string)
  nullable    = false
  default     = {}
}
