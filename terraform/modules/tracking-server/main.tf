data "aws_ssm_parameter" "image" {
  name = var.machine.image_parameter
}

resource "aws_instance" "this" {
  # Nothing here comes from the database: both start together, which saves minutes. The host knows
  # the database's identifier, asks RDS for its address and secret, and waits until it answers.
  # The rights have to be there before the machine asks for credentials.
  depends_on = [aws_iam_role_policy.use, aws_iam_role_policy_attachment.managed_instance]

  # The public parameter's value is no secret; the other attribute would hide it in every plan.
  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = var.machine.type
  subnet_id                   = var.network.subnet_id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = local.own_role ? aws_iam_instance_profile.this[0].name : var.existing_instance_profile
  ebs_optimized               = true
  monitoring                  = var.machine.detailed_monitoring
  user_data                   = var.user_data
  user_data_replace_on_change = var.user_data_replace_on_change

  # One hop: a container or a proxied request cannot fetch the role's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.machine.disk_gib
    encrypted   = true
    kms_key_id  = var.kms_key_arn
  }

  tags = { Name = var.name }

  lifecycle {
    # Debian publishes an image every few weeks: it must not replace a running server by surprise.
    ignore_changes = [ami]
  }
}

# The tracking URI survives stop and start.
resource "aws_eip" "this" {
  domain = "vpc"

  tags = { Name = var.name }
}

resource "aws_eip_association" "this" {
  allocation_id = aws_eip.this.id
  instance_id   = aws_instance.this.id
}
