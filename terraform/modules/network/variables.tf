variable "name" {
  description = "What the names of the network's parts start with."
  type        = string
  nullable    = false
}

variable "cidr" {
  description = "The new network's IPv4 range; unused with an existing network."
  type        = string
  nullable    = false
}

variable "public_subnet_cidrs" {
  description = "Ranges of the server's two subnets, within `cidr`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.public_subnet_cidrs) == 2
    error_message = "Give exactly two public ranges, one for each zone: the naming module cuts them from the network's range."
  }
}

variable "private_subnet_cidrs" {
  description = "Ranges of the database's two subnets, within `cidr`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.private_subnet_cidrs) == 2
    error_message = "Give exactly two private ranges, one for each zone: RDS demands two zones."
  }
}

variable "zones" {
  description = "The two availability zones; null takes the region's first two."
  type        = list(string)
  default     = null

  validation {
    condition     = var.zones == null ? true : length(distinct(var.zones)) == 2
    error_message = "Name two different availability zones, for example [\"eu-west-1a\", \"eu-west-1b\"], or leave the choice out."
  }
}

variable "existing" {
  description = "A network to use instead of a new one: its id, a subnet with a route to the internet, and private subnets in two zones. Null makes a new one."
  type = object({
    vpc_id             = string
    public_subnet_id   = string
    private_subnet_ids = list(string)
  })
  default = null

  validation {
    condition     = var.existing == null ? true : length(distinct(var.existing.private_subnet_ids)) >= 2
    error_message = "An existing network needs private subnets in two availability zones, because RDS demands two: name at least two."
  }
}

variable "flow_logs" {
  description = "Record every connection of the new network for a year; needs the right to create a role, and costs by volume."
  type        = bool
  nullable    = false
  default     = false

  validation {
    condition     = !var.flow_logs || var.existing == null
    error_message = "Flow logs of an existing network belong to its owner: set flow_logs to false here, and switch them on where that network is made."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the flow logs; null leaves them to the key that CloudWatch owns."
  type        = string
  default     = null
}
