resource "aws_security_group" "this" {
  name        = "${var.name}-server"
  description = "The tracking server: HTTPS in from named networks, HTTPS out"
  vpc_id      = var.network.vpc_id

  tags = { Name = "${var.name}-server" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = var.ingress_cidrs

  security_group_id = aws_security_group.this.id
  description       = "HTTPS from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Plain HTTP stays shut, so packages have to come over TLS too.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "HTTPS to AWS and the package mirrors"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
