mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:provision-churn-alarms" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/provision-churn-scheduler" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
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

run "without_schedules_there_is_no_role" {
  command = plan

  assert {
    condition     = length(aws_iam_role.scheduler) == 0 && length(aws_iam_role_policy.tells_of_end) == 0 && length(aws_scheduler_schedule_group.this) == 0 && output.schedule_group == null
    error_message = "A role that nothing uses must not be there."
  }
}

run "schedules_have_the_rights_of_what_they_do_and_no_others" {
  command = apply

  variables {
    ends_on = "2027-07-31"
    schedules = {
      open-server    = { does = "start-server", when = "cron(0 8 ? * MON,TUE *)", zone = "Europe/Brussels" }
      close-database = { does = "stop-database", when = "cron(0 20 * * ? *)", zone = "Europe/Brussels" }
      hold-database  = { does = "stop-database", when = "cron(30 3 * * ? *)", asleep = true }
      warn-1         = { does = "tell", when = "at(2027-07-30T09:00:00)", says = "churn: tomorrow\nchurn stops." }
    }
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.scheduler[0].policy).Statement : join(",", statement.Action) => join(",", statement.Resource) } == {
      "ec2:StartInstances" = "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"
      "rds:StopDBInstance" = "arn:aws:rds:eu-west-1:123456789012:db:provision-churn"
      "sns:Publish"        = "arn:aws:sns:eu-west-1:123456789012:provision-churn-alarms"
    }
    error_message = "The role must have the rights of its schedules, on this machine, this database and this topic."
  }
  assert {
    condition     = jsondecode(aws_iam_role.scheduler[0].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceArn"] == "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/provision-churn"
    error_message = "Nobody else's schedules may use the role."
  }
  assert {
    condition = { for key, schedule in aws_scheduler_schedule.this : key => "${schedule.state} ${schedule.schedule_expression_timezone} ${schedule.target[0].arn} ${schedule.target[0].input}" } == {
      open-server    = "ENABLED Europe/Brussels arn:aws:scheduler:::aws-sdk:ec2:startInstances {\"InstanceIds\":[\"i-1\"]}"
      close-database = "ENABLED Europe/Brussels arn:aws:scheduler:::aws-sdk:rds:stopDBInstance {\"DbInstanceIdentifier\":\"provision-churn\"}"
      hold-database  = "DISABLED UTC arn:aws:scheduler:::aws-sdk:rds:stopDBInstance {\"DbInstanceIdentifier\":\"provision-churn\"}"
      warn-1         = "ENABLED UTC arn:aws:scheduler:::aws-sdk:sns:publish {\"Message\":\"churn: tomorrow\\nchurn stops.\",\"Subject\":\"churn: tomorrow\",\"TopicArn\":\"arn:aws:sns:eu-west-1:123456789012:provision-churn-alarms\"}"
    }
    error_message = "Each schedule must call its operation, in the scheduler's own spelling."
  }
}

run "a_teardown_keeps_a_snapshot_and_ends_only_what_is_archived" {
  command = apply

  variables {
    ends_on     = "2027-07-31"
    server_role = "provision-churn-server"
    schedules = {
      gone-database = { does = "end-database", when = "cron(0 * * * ? *)" }
      gone-server   = { does = "end-server", when = "cron(0 * * * ? *)" }
    }
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.scheduler[0].policy).Statement : "${statement.Sid} ${join(",", statement.Action)}" => try(statement.Condition.StringEquals["aws:ResourceTag/provision:archived"], "") } == {
      "EndServer ec2:TerminateInstances"   = "2027-07-31"
      "EndDatabase rds:DeleteDBInstance"   = "2027-07-31"
      "EndDatabase1 rds:AddTagsToResource" = ""
      "EndDatabase2 rds:CreateDBSnapshot"  = ""
    }
    error_message = "What does not carry this end's tag must not be ended."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.tells_of_end[0].policy).Statement : "${join(",", statement.Action)} ${join(",", statement.Resource)} ${jsonencode(statement.Condition)}"] == [
      "rds:AddTagsToResource arn:aws:rds:eu-west-1:123456789012:db:provision-churn {\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"provision:archived\"]},\"StringEquals\":{\"aws:RequestTag/provision:archived\":\"2027-07-31\"}}",
      "ec2:CreateTags arn:aws:ec2:eu-west-1:123456789012:instance/i-1 {\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"provision:archived\"]},\"StringEquals\":{\"aws:RequestTag/provision:archived\":\"2027-07-31\"}}",
    ]
    error_message = "The machine may say that it is archived, with one tag and one value, and nothing else."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.this["gone-database"].target[0].input) == { DbInstanceIdentifier = "provision-churn", SkipFinalSnapshot = false, FinalDBSnapshotIdentifier = "provision-churn-ended-20270731" }
    error_message = "The database must not go without a last snapshot."
  }
}

run "a_key_of_ones_own_opens_disk_and_topic" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    schedules   = { open-server = { does = "start-server", when = "cron(0 8 * * ? *)" } }
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.scheduler[0].policy).Statement : statement.Sid] == ["StartServer", "OpenDisk", "UseKey"]
    error_message = "An encrypted machine cannot be started without a grant."
  }
}

run "what_nobody_can_do_is_refused" {
  command = plan

  variables {
    schedules = { tea = { does = "make-tea", when = "cron(0 16 * * ? *)" } }
  }
  expect_failures = [var.schedules]
}

run "a_webhook_is_told_of_alarms_and_costs" {
  command = plan

  variables {
    alarm_email = "ml-team@example.com"
    webhook     = "https://alerts.example.com/sns"
    budget      = { usd_per_month = 50, stack = "churn" }
  }
  assert {
    condition     = aws_sns_topic_subscription.webhook[0].protocol == "https" && length(aws_sns_topic_policy.budget) == 1
    error_message = "The address must be subscribed, and the budget let in."
  }
}

run "a_webhook_with_a_password_in_it_is_refused" {
  command = plan

  variables {
    webhook = "https://me:secret@alerts.example.com/sns"
  }
  expect_failures = [var.webhook]
}
