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
    }
  }

  lifecycle {
    precondition {
      condition     = var.alarm_email != null
      error_message = "A budget tells somebody: set `alarm_email`, too."
    }
  }
}
