locals {
  gib = 1024 * 1024 * 1024

  # A machine that is switched off for the night reports nothing, and nothing is wrong with it.
  alarms = {
    server-unhealthy = {
      says      = "The machine or its network fails AWS' checks: stop and start it."
      namespace = "AWS/EC2"
      metric    = "StatusCheckFailed"
      statistic = "Maximum"
      operator  = "GreaterThanOrEqualToThreshold"
      threshold = 1
      minutes   = 10
      of        = { InstanceId = var.instance_id }
    }
    database-storage-low = {
      says      = "The database has less than 2 GiB left although it grows by itself: raise its maximum."
      namespace = "AWS/RDS"
      metric    = "FreeStorageSpace"
      statistic = "Minimum"
      operator  = "LessThanThreshold"
      threshold = 2 * local.gib
      minutes   = 15
      of        = { DBInstanceIdentifier = var.database_identifier }
    }
    database-busy = {
      says      = "The database's processor was above 90 % for 30 minutes: choose a larger class."
      namespace = "AWS/RDS"
      metric    = "CPUUtilization"
      statistic = "Average"
      operator  = "GreaterThanThreshold"
      threshold = 90
      minutes   = 30
      of        = { DBInstanceIdentifier = var.database_identifier }
    }
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

# It waits for the address to confirm, which no apply can do for it.
resource "aws_sns_topic_subscription" "webhook" {
  count = var.webhook == null ? 0 : 1

  topic_arn              = aws_sns_topic.alarms.arn
  protocol               = "https"
  endpoint               = var.webhook
  endpoint_auto_confirms = false
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.minutes / 5
  dimensions          = each.value.of
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
