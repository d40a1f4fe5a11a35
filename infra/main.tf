# Storage: KMS key, bucket, table, queues and webhook secret.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # The settings of the queues (visibility timeout, maximum receives). The functions read the same file.
  queues = jsondecode(file("${path.module}/../shared/platform/queues.json"))
  # The CloudWatch namespace of the functions' and workers' metrics.
  metrics = "Quire/${var.name}"
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: documents, messages, records, logs and the webhook secret"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_protection ? 30 : 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Required: without this statement the key policy could never be changed again. IAM policies decide who in the
        # account may use the key; the functions' roles may only use it through the services that store data.
        Sid       = "TheAccountDecides"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "OurLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action = [
          "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
          "kms:ReEncryptFrom", "kms:ReEncryptTo",
        ]
        Resource = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [
          for group in ["/aws/lambda/${var.name}-*", "/aws/vendedlogs/apigateway/${var.name}", "/ecs/${var.name}-*", "/aws/ecs/containerinsights/${var.name}-*"] :
          "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${group}"
        ] } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

module "bucket" {
  source = "./modules/bucket"

  name                = "${var.name}-${local.account}-${local.region}"
  kms_key_arn         = aws_kms_key.this.arn
  deletion_protection = var.deletion_protection
}

module "table" {
  source = "./modules/table"

  name                = var.name
  kms_key_arn         = aws_kms_key.this.arn
  deletion_protection = var.deletion_protection
  recovery_days       = var.table_recovery_days
}

module "dead_letter_queue" {
  source   = "./modules/queue"
  for_each = { for name, settings in local.queues : name => settings if endswith(name, "-dead") }

  name              = "${var.name}-${each.key}"
  settings          = each.value
  dead_letters_from = "${var.name}-${trimsuffix(each.key, "-dead")}"
  kms_key_arn       = aws_kms_key.this.arn
}

module "queue" {
  source   = "./modules/queue"
  for_each = { for name, settings in local.queues : name => settings if !endswith(name, "-dead") }

  name            = "${var.name}-${each.key}"
  settings        = each.value
  dead_letters_to = module.dead_letter_queue["${each.key}-dead"].arn
  kms_key_arn     = aws_kms_key.this.arn
}

# The failure destination of asynchronous invocations (bucket events, schedule). The operator inspects them and invokes
# the function again.
module "failed_events" {
  source = "./modules/queue"

  name        = "${var.name}-failed-events"
  settings    = { lease_secs = 30 }
  kms_key_arn = aws_kms_key.this.arn
}

# Created without a value, so that Terraform's state does not contain the secret: `quire webhook-secret` generates it.
resource "aws_secretsmanager_secret" "webhook" {
  #checkov:skip=CKV2_AWS_57:rotation is manual, when receivers are ready; both secrets sign during the overlap
  name                    = "${var.name}/webhook"
  description             = "Signing secret of callbacks"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}
