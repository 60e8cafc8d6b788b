variable "name" {
  description = "The instance's identifier, by which the server finds the database: lowercase letters, digits and single hyphens, at most 42 characters."
  type        = string
  nullable    = false

  validation {
    # The longest name made from it is "NAME-postgres16-" and what RDS adds to snapshots, within 63.
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) <= 42
    error_message = "RDS wants a letter first, then letters, digits and single hyphens, here at most 42: take the naming module's prefix."
  }
}

variable "network" {
  description = "Where the database lives: the network's id and private subnets in two zones."
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  nullable = false
}

variable "client_security_group_id" {
  description = "The tracking server's security group: the only one that may connect."
  type        = string
  nullable    = false
}

variable "engine_major" {
  description = "PostgreSQL's major version; AWS chooses the minor one and keeps it current."
  type        = string
  nullable    = false
  default     = "16"

  validation {
    condition     = can(regex("^1[4-9]$", var.engine_major))
    error_message = "Give a major version alone, 14 to 19, such as \"16\": minor versions are AWS' to choose."
  }
}

variable "instance_class" {
  description = "The machine under the database."
  type        = string
  nullable    = false
  default     = "db.t4g.micro"

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "RDS' classes start with db., for example db.t4g.micro."
  }
}

variable "storage" {
  description = "GiB at the start, and the GiB up to which RDS may grow by itself."
  type = object({
    initial_gib = optional(number, 20)
    maximum_gib = optional(number, 100)
  })
  nullable = false
  default  = {}

  validation {
    # RDS refuses a ceiling that is not at least a tenth above the start.
    condition     = var.storage.initial_gib >= 20 && var.storage.maximum_gib >= var.storage.initial_gib * 1.1
    error_message = "gp3 starts at 20 GiB, and the maximum must be at least a tenth above the start: raise maximum_gib."
  }
}

variable "protection" {
  description = "What guards the data: a standby in another zone, a lock against deletion, days of backups, and the name of the snapshot taken on deletion (no name, no snapshot)."
  type = object({
    multi_az            = optional(bool, true)
    deletion_protection = optional(bool, true)
    backup_days         = optional(number, 7)
    final_snapshot      = optional(string)
  })
  nullable = false
  # Spelled out once more for scanners, which do not read optional().
  default = {
    multi_az            = true
    deletion_protection = true
    backup_days         = 7
  }

  validation {
    condition     = var.protection.backup_days >= 1 && var.protection.backup_days <= 35
    error_message = "RDS keeps backups for 1 to 35 days: set backup_days within that, since 0 would switch them off."
  }
}

variable "snapshot" {
  description = "The snapshot that a new database is made from; null makes an empty one. It changes nothing of a database that is there."
  type        = string
  default     = null
}

variable "observed" {
  description = "Keep PostgreSQL's logs in CloudWatch and watch the instance closely (Performance Insights, enhanced monitoring); needs the right to create a role."
  type        = bool
  nullable    = false
  default     = true
}

variable "kms_key_arn" {
  description = "The key that encrypts storage, backups, logs and the admin's secret; null takes the account's own keys, which cost nothing to keep."
  type        = string
  default     = null
}

variable "ca_cert_identifier" {
  description = "The authority that signs the server's certificate; null takes the region's default."
  type        = string
  default     = "rds-ca-rsa2048-g1"
}
