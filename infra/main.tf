# What is kept, and where: the key, the bucket, the table, the queues and the secret.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # The one definition of the queues' settings, which the functions read too.
  queues = jsondecode(file("${path.module}/../shared/platform/queues.json"))
  # What the functions count is kept under this name.
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
        # Without it nobody could ever change the key again. Who of the account may do what is for IAM to say; the
        # functions' roles may use it by way of the services that keep our data.
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
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource  = "*"
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

# Events of the bucket and the clock that a function could not deal with: for the operator, who looks and invokes again.
module "failed_events" {
  source = "./modules/queue"

  name        = "${var.name}-failed-events"
  settings    = { lease_secs = 30 }
  kms_key_arn = aws_kms_key.this.arn
}

# Without a value, so that none is in Terraform's state: `quire webhook-secret` makes one and puts it here.
resource "aws_secretsmanager_secret" "webhook" {
  #checkov:skip=CKV2_AWS_57:receivers verify with it: it changes when they are ready, with two signatures for a while
  name                    = "${var.name}/webhook"
  description             = "Callbacks are signed with it"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}
