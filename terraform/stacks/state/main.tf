data "aws_caller_identity" "me" {}

module "naming" {
  source = "../../modules/naming"

  # The suffix keeps the states apart from the artifacts of a stack of the same name.
  name       = "${var.name}-state"
  account_id = data.aws_caller_identity.me.account_id
  region     = var.region
  tags       = var.tags
}

module "bucket" {
  source = "../../modules/artifact-store"

  bucket      = module.naming.bucket
  kms_key_arn = var.kms_key_arn

  # Each lock leaves a version and a marker behind; each apply, a state to go back to.
  noncurrent_days = 90
}
