variable "name" {
  description = "The server's name; its role, profile and security group are named after it."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where the server lives: the network's id and a subnet with a route to the internet."
  type = object({
    vpc_id    = string
    subnet_id = string
  })
  nullable = false
}

variable "ingress_cidrs" {
  description = "IPv4 networks whose machines may reach the server on port 443; none means through a Session Manager tunnel alone."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for cidr in var.ingress_cidrs : can(cidrnetmask(cidr))])
    error_message = "Each entry is an IPv4 network such as 203.0.113.0/24; write a single address as 203.0.113.7/32."
  }
  validation {
    condition     = alltrue([for cidr in var.ingress_cidrs : !endswith(cidr, "/0")])
    error_message = "A tracking server is not for the whole internet: name your users' networks, or none and use a tunnel."
  }
}

variable "machine" {
  description = "The machine: its type, GiB of disk, the public parameter that names Debian's image, and whether AWS measures it every minute (at a price)."
  type = object({
    type                = optional(string, "t3.small")
    disk_gib            = optional(number, 20)
    image_parameter     = optional(string, "/aws/service/debian/release/12/latest/amd64")
    detailed_monitoring = optional(bool, true)
  })
  nullable = false
  # Spelled out once more for scanners, which do not read optional().
  default = {
    detailed_monitoring = true
  }

  validation {
    condition     = var.machine.disk_gib >= 10
    error_message = "The system and MLflow need 10 GiB: set disk_gib to 10 or more."
  }
}

variable "user_data" {
  description = "What the machine runs at its first boot. Every program on the machine can read it, so it holds names and ARNs, never a secret."
  type        = string
  nullable    = false

  validation {
    # length() counts characters, EC2 bytes: four characters of base64 are three bytes, less the padding.
    condition     = length(base64encode(var.user_data)) * 3 / 4 - length(regexall("=", base64encode(var.user_data))) <= 16384
    error_message = "EC2 takes at most 16 KB of user data: compress it, or fetch what is large from the bucket."
  }
}

variable "user_data_replace_on_change" {
  description = "Make a new machine when the user data changes; otherwise the machine stays, and its own updates bring it up to date."
  type        = bool
  nullable    = false
  default     = false
}

variable "existing_instance_profile" {
  description = "An instance profile to use where the account forbids making roles (AWS Academy: LabInstanceProfile); null makes one with the least rights."
  type        = string
  default     = null
}

variable "bucket" {
  description = "The artifact bucket's name: the only one that the server's role may use."
  type        = string
  nullable    = false
}

variable "database_identifier" {
  description = "The database's identifier: the only one that the server's role may look up, and whose admin secret it may read."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts disk, bucket and secret; null means the account's own keys."
  type        = string
  default     = null
}
