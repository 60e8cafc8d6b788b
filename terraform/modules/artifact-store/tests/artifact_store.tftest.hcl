mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws-cn" }
  }
}

variables {
  bucket = "provision-churn-123456789012-cn-north-1"
}

run "every_guard_is_on" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket must be versioned."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "The bucket must be encrypted."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "All four switches against public access must be on."
  }
  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "Access lists must be off."
  }
  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "A bucket with objects must not vanish with a destroy."
  }
  assert {
    condition     = aws_s3_bucket_notification.this.eventbridge
    error_message = "Rules must be able to see uploads."
  }
}

run "plain_http_is_refused_in_every_partition" {
  command = plan

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
      && toset(statement.Resource) == toset(["arn:aws-cn:s3:::provision-churn-123456789012-cn-north-1", "arn:aws-cn:s3:::provision-churn-123456789012-cn-north-1/*"])
    ])
    error_message = "The policy must refuse requests without TLS, to the bucket and its objects, by this partition's ARNs."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny"])
    error_message = "The bucket's policy must grant nothing."
  }
}

run "old_versions_and_unfinished_uploads_go" {
  command = plan

  variables {
    noncurrent_days = 12
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 12
    error_message = "Old versions must go after the days asked for."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
    error_message = "Unfinished uploads must go, or they are paid for unseen."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].status == "Enabled" && aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].expired_object_delete_marker
    error_message = "The rule must be on, and take away the markers that are left of deleted artifacts."
  }
}

run "an_own_key_is_used" {
  command = plan

  variables {
    kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/1"
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn
    error_message = "The key that was given must encrypt the objects."
  }
}

run "zero_days_are_refused" {
  command = plan

  variables {
    noncurrent_days = 0
  }
  expect_failures = [var.noncurrent_days]
}

run "a_name_that_s3_refuses_is_refused_before" {
  command = plan

  variables {
    bucket = "Churn_Artifacts"
  }
  expect_failures = [var.bucket]
}
