terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }

  # No backend here: the state lies beside the stack. A shared state comes as a file of its own,
  # made from the `backend` output of stacks/state, so that both kinds use this very root.
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = merge(module.naming.tags, module.lifetime.tags)
  }
}
