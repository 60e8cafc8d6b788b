# Where the host puts the password of MLflow's first account. Terraform makes the empty place alone, so
# that no plan and no state ever holds what goes in.
resource "aws_secretsmanager_secret" "admin" {
  name        = "${var.name}/admin"
  description = "The first account of the tracking server; the server itself writes it"
  kms_key_id  = var.kms_key_arn

  # A secret that waits for its deletion blocks its name, and with it the next stack of this name.
  recovery_window_in_days = 0

  tags = { Name = "${var.name}/admin" }
}
