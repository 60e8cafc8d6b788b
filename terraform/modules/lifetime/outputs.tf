output "tags" {
  description = "The end date as a tag for every resource, by which a sweep finds what is overdue; empty without an end."
  value       = var.ends_on == null ? {} : { "provision:ends-on" = var.ends_on }
}

output "topic_arn" {
  description = "The topic that every alarm writes to."
  value       = aws_sns_topic.alarms.arn
}

output "budget_name" {
  description = "The budget's name; null without one."
  value       = one(aws_budgets_budget.month[*].name)
}

output "alarm_names" {
  description = "The alarms' names, for `status`."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}

output "schedules" {
  description = "The schedules as they were given, for the next plan."
  value       = var.schedules
}

output "schedule_group" {
  description = "The group that all schedules are in; null without one."
  value       = one(aws_scheduler_schedule_group.this[*].name)
}
