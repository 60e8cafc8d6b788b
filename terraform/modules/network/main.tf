data "aws_region" "here" {}

data "aws_availability_zones" "open" {
  state = "available"

  # By name, which leaves out Local Zones and Wavelength Zones (us-west-2-lax-1a): they have no RDS.
  filter {
    name   = "zone-name"
    values = [for letter in ["a", "b", "c", "d", "e", "f"] : "${data.aws_region.here.id}${letter}"]
  }
}

locals {
  new   = var.existing == null
  zones = var.zones == null ? slice(data.aws_availability_zones.open.names, 0, 2) : var.zones

  # Keys that never change, so that another zone or range does not rename a subnet in the state.
  positions = { for key, index in { a = 0, b = 1 } : key => index if local.new }
}

resource "aws_vpc" "this" {
  count = local.new ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# A group without a rule: whoever forgets to name one gets no traffic at all.
resource "aws_default_security_group" "closed" {
  count = local.new ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-closed" }
}

resource "aws_subnet" "public" {
  for_each = local.positions

  vpc_id                  = aws_vpc.this[0].id
  cidr_block              = var.public_subnet_cidrs[each.value]
  availability_zone       = local.zones[each.value]
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-public-${each.key}" }

  lifecycle {
    # A zone that AWS opens later may sort before ours: the subnets stay where they are.
    ignore_changes = [availability_zone]
  }
}

resource "aws_subnet" "private" {
  for_each = local.positions

  vpc_id                  = aws_vpc.this[0].id
  cidr_block              = var.private_subnet_cidrs[each.value]
  availability_zone       = local.zones[each.value]
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-private-${each.key}" }

  lifecycle {
    ignore_changes = [availability_zone]
  }
}
