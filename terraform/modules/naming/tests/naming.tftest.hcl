variables {
  name       = "churn-course"
  account_id = "123456789012"
  region     = "eu-west-1"
}

run "names_carry_the_stack" {
  command = plan

  assert {
    condition     = output.prefix == "provision-churn-course"
    error_message = "The prefix must name the kit and the stack."
  }
  assert {
    condition     = output.bucket == "provision-churn-course-123456789012-eu-west-1"
    error_message = "A short bucket name must stay readable."
  }
  assert {
    condition     = output.tags["provision:stack"] == "churn-course"
    error_message = "Every resource must carry the stack's tag."
  }
}

run "the_runs_id_is_left_out_where_there_is_none" {
  command = plan

  assert {
    condition     = !contains(keys(output.tags), "provision:run")
    error_message = "Without an id there must be no tag."
  }
}

run "the_runs_id_is_a_tag" {
  command = plan

  variables {
    run = "20270131-9f86d081884c"
  }
  assert {
    condition     = output.tags["provision:run"] == "20270131-9f86d081884c"
    error_message = "Every resource must carry the run's id."
  }
}

run "a_hostile_run_is_refused" {
  command = plan

  variables {
    run = "$(reboot)"
  }
  expect_failures = [var.run]
}

run "long_names_fit_s3" {
  command = plan

  variables {
    name   = "abcdefghij-abcdefghij-abcdefghij"
    region = "ap-southeast-1"
  }
  assert {
    condition     = length(output.bucket) <= 63 && can(regex("^[a-z0-9][a-z0-9-]*[a-z0-9]$", output.bucket))
    error_message = "The bucket's name must stay within S3's rules."
  }
}

run "names_cut_alike_stay_apart" {
  command = plan

  variables {
    name   = "abcdefghij-abcdefghij-abcdefghij"
    region = "ap-southeast-2"
  }
  assert {
    condition     = output.bucket != run.long_names_fit_s3.bucket
    error_message = "Two stacks must not get one bucket name."
  }
}

run "subnets_do_not_overlap" {
  command = plan

  assert {
    condition     = length(distinct(concat(output.public_subnet_cidrs, output.private_subnet_cidrs))) == 4
    error_message = "There must be four different subnets."
  }
}

run "a_hostile_name_is_refused" {
  command = plan

  variables {
    name = "x; rm -rf /"
  }
  expect_failures = [var.name]
}

run "a_reserved_tag_is_refused" {
  command = plan

  variables {
    tags = { "provision:stack" = "mine" }
  }
  expect_failures = [var.tags]
}
