data "aws_partition" "here" {}
data "aws_region" "here" {}
data "aws_caller_identity" "me" {}

locals {
  partition    = data.aws_partition.here.partition
  here         = "${data.aws_region.here.id}:${data.aws_caller_identity.me.account_id}"
  instance_arn = "arn:${local.partition}:ec2:${local.here}:instance/${var.instance_id}"
  database_arn = "arn:${local.partition}:rds:${local.here}:db:${var.database_identifier}"
  last_name    = "${var.name}-ended-${replace(coalesce(var.ends_on, "never"), "-", "")}"
  snapshot_arn = "arn:${local.partition}:rds:${local.here}:snapshot:${local.last_name}"

  # The scheduler spells parameters as AWS' SDK for Java does, which is not always as the API does.
  calls = {
    start-server   = { api = "ec2:startInstances", input = { InstanceIds = [var.instance_id] } }
    stop-server    = { api = "ec2:stopInstances", input = { InstanceIds = [var.instance_id] } }
    start-database = { api = "rds:startDBInstance", input = { DbInstanceIdentifier = var.database_identifier } }
    stop-database  = { api = "rds:stopDBInstance", input = { DbInstanceIdentifier = var.database_identifier } }
    end-server     = { api = "ec2:terminateInstances", input = { InstanceIds = [var.instance_id] } }
    end-database = {
      api = "rds:deleteDBInstance"
      input = {
        DbInstanceIdentifier      = var.database_identifier
        SkipFinalSnapshot         = false
        FinalDBSnapshotIdentifier = local.last_name
      }
    }
    tell = { api = "sns:publish", input = { TopicArn = aws_sns_topic.alarms.arn } }
  }

  # The machine writes it once its databases are archived: nothing without it is ended.
  archived     = "provision:archived"
  only_kept    = { StringEquals = { "aws:ResourceTag/${local.archived}" = coalesce(var.ends_on, "never") } }
  tells_of_end = contains(local.actions, "end-server") && var.server_role != null

  # Each action takes these rights on these things, and the role has those of the actions that are
  # planned, no others.
  rights = {
    start-server   = [{ Action = ["ec2:StartInstances"], Resource = [local.instance_arn] }]
    stop-server    = [{ Action = ["ec2:StopInstances"], Resource = [local.instance_arn] }]
    start-database = [{ Action = ["rds:StartDBInstance"], Resource = [local.database_arn] }]
    stop-database  = [{ Action = ["rds:StopDBInstance"], Resource = [local.database_arn] }]
    end-server     = [{ Action = ["ec2:TerminateInstances"], Resource = [local.instance_arn], Condition = local.only_kept }]
    end-database = [
      { Action = ["rds:DeleteDBInstance"], Resource = [local.database_arn], Condition = local.only_kept },
      { Action = ["rds:AddTagsToResource"], Resource = [local.snapshot_arn] },
      { Action = ["rds:CreateDBSnapshot"], Resource = [local.database_arn, local.snapshot_arn] },
    ]
    tell = [{ Action = ["sns:Publish"], Resource = [aws_sns_topic.alarms.arn] }]
  }

  actions = toset([for schedule in var.schedules : schedule.does])
  statements = flatten([for action, rights in local.rights : [for number, right in rights : merge(right, {
    Sid    = "${replace(title(replace(action, "-", " ")), " ", "")}${number == 0 ? "" : number}"
    Effect = "Allow"
  })] if contains(local.actions, action)])

  # An encrypted disk is opened for a machine that starts, and an encrypted topic for a message.
  key_statements = flatten([for key in compact([var.kms_key_arn]) : [
    {
      Sid       = "OpenDisk"
      Effect    = "Allow"
      Action    = ["kms:CreateGrant"]
      Resource  = [key]
      Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    },
    {
      Sid      = "UseKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [key]
    },
  ]])
}

resource "aws_scheduler_schedule_group" "this" {
  count = length(var.schedules) == 0 ? 0 : 1

  name = var.name
}

resource "aws_iam_role" "scheduler" {
  count = length(var.schedules) == 0 ? 0 : 1

  name = "${var.name}-scheduler"
  # The group's ARN, not a schedule's: what AWS asks for against a confused deputy.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = {
        StringEquals = {
          "aws:SourceAccount" = data.aws_caller_identity.me.account_id
          "aws:SourceArn"     = "arn:${local.partition}:scheduler:${local.here}:schedule-group/${var.name}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  count = length(var.schedules) == 0 ? 0 : 1

  name   = "do-what-is-planned"
  role   = aws_iam_role.scheduler[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.statements, local.key_statements) })
}

# By the machine's own role: it alone knows when its databases are archived.
resource "aws_iam_role_policy" "tells_of_end" {
  count = local.tells_of_end ? 1 : 0

  name = "tell-that-it-is-archived"
  role = var.server_role
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for sid, right in {
        MarkMachine  = { Action = ["ec2:CreateTags"], Resource = [local.instance_arn] }
        MarkDatabase = { Action = ["rds:AddTagsToResource"], Resource = [local.database_arn] }
        } : merge(right, {
          Sid    = sid
          Effect = "Allow"
          Condition = {
            StringEquals                = { "aws:RequestTag/${local.archived}" = var.ends_on }
            "ForAllValues:StringEquals" = { "aws:TagKeys" = [local.archived] }
          }
      })
    ]
  })
}

resource "aws_scheduler_schedule" "this" {
  for_each = var.schedules

  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.this[0].name
  schedule_expression          = each.value.when
  schedule_expression_timezone = each.value.zone
  start_date                   = each.value.starts
  end_date                     = each.value.ends
  state                        = each.value.asleep ? "DISABLED" : "ENABLED"
  kms_key_arn                  = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${local.partition}:scheduler:::aws-sdk:${local.calls[each.value.does].api}"
    role_arn = aws_iam_role.scheduler[0].arn
    input = jsonencode(merge(local.calls[each.value.does].input, {
      for key, text in { Subject = split("\n", each.value.says)[0], Message = each.value.says } : key => text
      if each.value.does == "tell"
    }))

    # A database that starts, stops or is backed up takes no other order: it is given again for a
    # while, and not for the day that AWS would try.
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 30
    }
  }

  lifecycle {
    # A pause puts schedules to sleep and wakes them: that is nobody's mistake.
    ignore_changes = [state]
  }

  # Its rights first: the group may be due at once.
  depends_on = [aws_iam_role_policy.scheduler]
}
