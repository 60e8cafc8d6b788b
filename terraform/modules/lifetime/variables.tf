variable "name" {
  description = "What the names of topic and alarms start with."
  type        = string
  nullable    = false
}

variable "ends_on" {
  description = "The day after which the stack may go, as YYYY-MM-DD; null means that it stays."
  type        = string
  default     = null

  validation {
    condition     = var.ends_on == null ? true : can(formatdate("YYYY", "${var.ends_on}T00:00:00Z")) && length(var.ends_on) == 10
    error_message = "Write the end as a day that exists, for example 2027-02-28."
  }
}

variable "alarm_email" {
  description = "Who is told when an alarm goes off; AWS asks that address to confirm first. Null tells nobody, and the alarms show in the console."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null ? true : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "Give one e-mail address, such as ml-team@example.com, or leave it out."
  }
}

variable "budget" {
  description = "US dollars that a month may cost before `alarm_email` is told, at 50, 80 and 100 %, and the stack whose tag `provision:stack` counts. Null makes no budget."
  type = object({
    usd_per_month = number
    stack         = string
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.usd_per_month >= 1 && var.budget.usd_per_month <= 1000000
    error_message = "Write a budget from 1 to 1000000 US dollars a month, or leave it out: one of 0 would be spent at once."
  }
}

variable "instance_id" {
  description = "The machine whose health is watched."
  type        = string
  nullable    = false
}

variable "database_identifier" {
  description = "The database whose storage and processor are watched."
  type        = string
  nullable    = false
}

variable "server_role" {
  description = "The name of the machine's role, which may say that its databases are archived where schedules end something: nothing else is ended. Null lets nothing say so."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The key that encrypts the topic; its policy has to let CloudWatch use it. Null leaves the topic unencrypted, since alarms cannot use `aws/sns`."
  type        = string
  default     = null
}

variable "webhook" {
  description = "An https address that is told what `alarm_email` is told; it has to confirm a subscription of SNS. Null tells none."
  type        = string
  default     = null

  validation {
    condition     = var.webhook == null ? true : can(regex("^https://[^/?#@[:space:]]+(/[^[:space:]]*)?$", var.webhook))
    error_message = "Give an https address without a name and password in it, such as https://alerts.example.com/sns, or leave it out."
  }
}

variable "schedules" {
  description = "What AWS does by itself, by a name of your own: what (`does`), when (`cron(...)` or `at(...)` on the clock of `zone`), from and to which moment (`starts`, `ends`), what it tells (`says`, its first line the subject), and whether it is made switched off (`asleep`)."
  type = map(object({
    does   = string
    when   = string
    zone   = optional(string, "UTC")
    starts = optional(string)
    ends   = optional(string)
    says   = optional(string, "")
    asleep = optional(bool, false)
  }))
  nullable = false
  default  = {}

  validation {
    condition     = alltrue([for schedule in var.schedules : contains(["start-server", "start-database", "stop-server", "stop-database", "tell", "end-server", "end-database"], schedule.does)])
    error_message = "A schedule starts, stops or ends server or database (start-server ... end-database), or tells."
  }
  validation {
    condition     = alltrue([for schedule in var.schedules : (schedule.does == "tell") == (schedule.says != "")])
    error_message = "Give `says` to schedules that tell, and to no others."
  }
}
