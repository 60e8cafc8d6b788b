mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:provision-churn-alarms" }
  }
}

variables {
  name                = "provision-churn"
  instance_id         = "i-1"
  database_identifier = "provision-churn"
}

run "the_three_things_that_end_a_server_are_watched" {
  command = apply

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.this : key => "${alarm.namespace} ${alarm.metric_name} ${join(",", [for name, value in alarm.dimensions : "${name}=${value}"])}" } == {
      server-unhealthy     = "AWS/EC2 StatusCheckFailed InstanceId=i-1"
      database-storage-low = "AWS/RDS FreeStorageSpace DBInstanceIdentifier=provision-churn"
      database-busy        = "AWS/RDS CPUUtilization DBInstanceIdentifier=provision-churn"
    }
    error_message = "Health, storage and processor must be watched, of this machine and this database."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : toset(alarm.alarm_actions) == toset([aws_sns_topic.alarms.arn])])
    error_message = "Every alarm must write to the topic."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-storage-low"].threshold == 2147483648 && aws_cloudwatch_metric_alarm.this["database-storage-low"].comparison_operator == "LessThanThreshold"
    error_message = "RDS reports bytes: the limit must be 2 GiB of them."
  }
  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && length(output.tags) == 0
    error_message = "Without an address nobody is told, and without an end there is no tag."
  }
}

run "an_address_is_told" {
  command = plan

  variables {
    alarm_email = "ml-team@example.com"
  }
  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "ml-team@example.com"
    error_message = "The address must be subscribed."
  }
}

run "the_end_is_a_tag" {
  command = plan

  variables {
    ends_on = "2028-02-29"
  }
  assert {
    condition     = output.tags["provision:ends-on"] == "2028-02-29"
    error_message = "The end must be found on every resource."
  }
}

run "a_day_that_does_not_exist_is_refused" {
  command = plan

  variables {
    ends_on = "2027-02-29"
  }
  expect_failures = [var.ends_on]
}

run "a_day_in_another_order_is_refused" {
  command = plan

  variables {
    ends_on = "31.12.2027"
  }
  expect_failures = [var.ends_on]
}

run "what_is_no_address_is_refused" {
  command = plan

  variables {
    alarm_email = "ml-team"
  }
  expect_failures = [var.alarm_email]
}

run "a_budget_tells_the_address_three_times" {
  command = plan

  variables {
    alarm_email = "ml-team@example.com"
    budget      = { usd_per_month = 50, stack = "churn" }
  }
  assert {
    condition     = { for notice in aws_budgets_budget.month[0].notification : tostring(notice.threshold) => join(",", notice.subscriber_email_addresses) } == { "50" = "ml-team@example.com", "80" = "ml-team@example.com", "100" = "ml-team@example.com" }
    error_message = "The address must be told at 50, 80 and 100 %."
  }
  assert {
    condition     = aws_budgets_budget.month[0].limit_amount == "50" && aws_budgets_budget.month[0].time_unit == "MONTHLY" && aws_budgets_budget.month[0].limit_unit == "USD"
    error_message = "The budget must be 50 US dollars a month."
  }
  assert {
    condition     = one(aws_budgets_budget.month[0].cost_filter).name == "TagKeyValue" && tolist(one(aws_budgets_budget.month[0].cost_filter).values) == tolist(["user:provision:stack$churn"])
    error_message = "Only what carries the stack's tag may count."
  }
  assert {
    condition     = output.budget_name == "provision-churn-month"
    error_message = "A sweep must find the budget by its name."
  }
}

run "without_a_budget_there_is_none" {
  command = plan

  assert {
    condition     = length(aws_budgets_budget.month) == 0 && output.budget_name == null
    error_message = "Nobody asked for a budget."
  }
}

run "a_budget_of_nothing_is_refused" {
  command = plan

  variables {
    alarm_email = "ml-team@example.com"
    budget      = { usd_per_month = 0, stack = "churn" }
  }
  expect_failures = [var.budget]
}

run "a_budget_that_tells_nobody_is_refused" {
  command = plan

  variables {
    budget = { usd_per_month = 50, stack = "churn" }
  }
  expect_failures = [aws_budgets_budget.month]
}
