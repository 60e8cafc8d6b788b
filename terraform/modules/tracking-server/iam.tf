data "aws_partition" "here" {}
data "aws_region" "here" {}
data "aws_caller_identity" "me" {}

locals {
  own_role     = var.existing_instance_profile == null
  partition    = data.aws_partition.here.partition
  here         = "${data.aws_region.here.id}:${data.aws_caller_identity.me.account_id}"
  bucket_arn   = "arn:${local.partition}:s3:::${var.bucket}"
  database_arn = "arn:${local.partition}:rds:${local.here}:db:${var.database_identifier}"

  # The bucket's three parts: MLflow's artifacts, what the kit put there for the host, and what the
  # host tells. What MLflow was seen to do with artifacts; not s3:DeleteObjectVersion: a stolen role
  # can hide an artifact, and the version below brings it back.
  statements = [
    {
      Sid      = "ListBucket"
      Effect   = "Allow"
      Action   = ["s3:GetBucketLocation", "s3:ListBucket"]
      Resource = local.bucket_arn
    },
    {
      Sid      = "UseArtifacts"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      Resource = "${local.bucket_arn}/artifacts/*"
    },
    {
      Sid      = "ReadProgram"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = "${local.bucket_arn}/provision/host/*"
    },
    {
      Sid      = "TellHowItIs"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject"]
      Resource = ["${local.bucket_arn}/provision/boot/*", "${local.bucket_arn}/provision/public/*"]
    },
    # Where the machine hands its database over for an archive, and takes one to restore. Nothing
    # stays there; the operator, not the role, deletes it.
    {
      Sid      = "HandDatabaseOver"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
      Resource = "${local.bucket_arn}/provision/transfer/*"
    },
    # Whoever gets hold of the role must not decide what the machine runs as root at its next boot,
    # whatever else is ever allowed to it.
    {
      Sid      = "NeverChangeProgram"
      Effect   = "Deny"
      Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      Resource = "${local.bucket_arn}/provision/host/*"
    },
    # Six characters of AWS' own end a secret's ARN; with the marks, a plan shows the whole policy.
    {
      Sid      = "KeepLogin"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
      Resource = "arn:${local.partition}:secretsmanager:${local.here}:secret:${var.name}/admin-??????"
    },
    {
      Sid      = "TellPeople"
      Effect   = "Allow"
      Action   = ["sns:Publish"]
      Resource = "arn:${local.partition}:sns:${local.here}:${var.name}-alarms"
    },
    {
      Sid      = "FindDatabase"
      Effect   = "Allow"
      Action   = ["rds:DescribeDBInstances"]
      Resource = local.database_arn
    },
    # RDS names its secrets at random and tags each with the database that it opens: the name's
    # fixed part and that tag are known without waiting for the database.
    {
      Sid       = "ReadDatabaseSecret"
      Effect    = "Allow"
      Action    = ["secretsmanager:GetSecretValue"]
      Resource  = "arn:${local.partition}:secretsmanager:${local.here}:secret:rds!db-*"
      Condition = { StringEquals = { "aws:ResourceTag/aws:rds:primaryDBInstanceArn" = local.database_arn } }
    },
  ]
  key_statements = [for key in compact([var.kms_key_arn]) : {
    Sid      = "UseKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = key
  }]
}

resource "aws_iam_role" "this" {
  count = local.own_role ? 1 : 0

  name = "${var.name}-server"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${local.partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"}" }
    }]
  })
}

resource "aws_iam_role_policy" "use" {
  count = local.own_role ? 1 : 0

  name   = "use-bucket-and-database"
  role   = aws_iam_role.this[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.statements, local.key_statements) })
}

# Session Manager is the way in: no SSH, no key pair.
resource "aws_iam_role_policy_attachment" "managed_instance" {
  count = local.own_role ? 1 : 0

  role       = aws_iam_role.this[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  count = local.own_role ? 1 : 0

  name = "${var.name}-server"
  role = aws_iam_role.this[0].name
}
