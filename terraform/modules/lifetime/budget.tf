# Counts what carries the stack's tag, once the payer has activated it as a cost allocation tag.
resource "aws_budgets_budget" "month" {
  count = var.budget == null ? 0 : 1

  name         = "${var.name}-month"
  budget_type  = "COST"
  limit_amount = tostring(var.budget.usd_per_month)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:provision:stack$%s", var.budget.stack)]
  }

  dynamic "notification" {
    for_each = toset([50, 80, 100])

    content {
      notification_type          = "ACTUAL"
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [var.alarm_email]
      subscriber_sns_topic_arns  = var.webhook == null ? null : [aws_sns_topic.alarms.arn]
    }
  }

  lifecycle {
    precondition {
      condition     = var.alarm_email != null
      error_message = "A budget tells somebody: set `alarm_email`, too."
    }
  }
}

# The topic's own policy lets this account's alarms in; a budget comes from outside.
resource "aws_sns_topic_policy" "budget" {
  count = var.budget == null || var.webhook == null ? 0 : 1

  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for service, source in {
      "budgets.amazonaws.com"    = "arn:${local.partition}:budgets::${data.aws_caller_identity.me.account_id}:budget/${var.name}-month"
      "cloudwatch.amazonaws.com" = "arn:${local.partition}:cloudwatch:${local.here}:alarm:${var.name}-*"
      } : {
      Sid       = title(split(".", service)[0])
      Effect    = "Allow"
      Action    = "sns:Publish"
      Principal = { Service = service }
      Resource  = aws_sns_topic.alarms.arn
      Condition = {
        ArnLike      = { "aws:SourceArn" = source }
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.me.account_id }
      }
    }]
  })
}
