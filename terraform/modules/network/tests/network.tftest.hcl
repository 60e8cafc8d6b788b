mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/provision-churn-flow" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/provision-churn/flow" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }
}

variables {
  name                 = "provision-churn"
  cidr                 = "10.87.0.0/20"
  public_subnet_cidrs  = ["10.87.0.0/22", "10.87.4.0/22"]
  private_subnet_cidrs = ["10.87.8.0/22", "10.87.12.0/22"]
}

run "chosen_zones_are_used" {
  command = plan

  variables {
    zones = ["eu-west-1c", "eu-west-1b"]
  }
  assert {
    condition     = aws_subnet.public["a"].availability_zone == "eu-west-1c"
    error_message = "The server's subnet must lie in the first zone that was named."
  }
}

run "two_zones_each_with_a_public_and_a_private_subnet" {
  command = plan

  assert {
    condition     = [for key in ["a", "b"] : aws_subnet.public[key].availability_zone] == ["eu-west-1a", "eu-west-1b"]
    error_message = "The public subnets must lie in two zones."
  }
  assert {
    condition     = [for key in ["a", "b"] : aws_subnet.private[key].availability_zone] == ["eu-west-1a", "eu-west-1b"]
    error_message = "The private subnets must lie in two zones: RDS demands it."
  }
  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : !subnet.map_public_ip_on_launch])
    error_message = "No machine may get a public address by accident."
  }
}

run "nothing_is_open_by_default" {
  command = apply

  assert {
    condition     = length(aws_default_security_group.closed[0].ingress) == 0 && length(aws_default_security_group.closed[0].egress) == 0
    error_message = "The default security group must have no rule."
  }
  assert {
    condition     = length(aws_vpc_endpoint.s3[0].route_table_ids) == 2 && aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway"
    error_message = "Both kinds of subnet must reach S3 through the free endpoint."
  }
  assert {
    condition     = aws_route.internet[0].route_table_id == aws_route_table.public[0].id && aws_route_table.public[0].id != aws_route_table.private[0].id
    error_message = "Only the public subnets may have a route to the internet."
  }
  assert {
    condition     = length(aws_flow_log.this) == 0 && length(aws_iam_role.flow) == 0
    error_message = "Without flow logs no role may be made."
  }
}

run "flow_logs_on_request" {
  command = apply

  variables {
    flow_logs = true
  }
  assert {
    condition     = aws_flow_log.this[0].traffic_type == "ALL" && aws_cloudwatch_log_group.flow[0].retention_in_days == 365
    error_message = "Every connection must be kept for a year."
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.flow[0].policy, "CreateLogGroup")
    error_message = "A role that may create the group brings it back after a teardown."
  }
}

run "another_zone_moves_no_subnet" {
  command = plan

  variables {
    zones = ["eu-west-1c", "eu-west-1b"]
  }
  assert {
    condition     = aws_subnet.public["a"].availability_zone == "eu-west-1a"
    error_message = "A subnet with a server in it must stay where it is."
  }
}

run "an_existing_network_is_left_alone" {
  command = plan

  variables {
    existing = { vpc_id = "vpc-1", public_subnet_id = "subnet-1", private_subnet_ids = ["subnet-2", "subnet-3"] }
  }
  assert {
    condition     = output.vpc_id == "vpc-1" && output.public_subnet_id == "subnet-1" && output.private_subnet_ids == tolist(["subnet-2", "subnet-3"])
    error_message = "An existing network must be passed on as it is."
  }
  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.public) + length(aws_route.internet) + length(aws_vpc_endpoint.s3) + length(aws_default_security_group.closed) == 0
    error_message = "Nothing may be added to somebody else's network."
  }
}

run "one_private_subnet_is_refused" {
  command = plan

  variables {
    existing = { vpc_id = "vpc-1", public_subnet_id = "subnet-1", private_subnet_ids = ["subnet-2"] }
  }
  expect_failures = [var.existing]
}

run "flow_logs_of_an_existing_network_are_refused" {
  command = plan

  variables {
    existing  = { vpc_id = "vpc-1", public_subnet_id = "subnet-1", private_subnet_ids = ["subnet-2", "subnet-3"] }
    flow_logs = true
  }
  expect_failures = [var.flow_logs]
}

run "one_zone_twice_is_refused" {
  command = plan

  variables {
    zones = ["eu-west-1a", "eu-west-1a"]
  }
  expect_failures = [var.zones]
}
