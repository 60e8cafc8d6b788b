resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "The tracking database: PostgreSQL from the tracking server alone"
  vpc_id      = var.network.vpc_id

  tags = { Name = "${var.name}-database" }
}

# Both ends of the one connection, in one place; the database itself calls nobody.
resource "aws_vpc_security_group_ingress_rule" "from_server" {
  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from the tracking server"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "server_to_database" {
  security_group_id            = var.client_security_group_id
  description                  = "PostgreSQL to the tracking database"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
