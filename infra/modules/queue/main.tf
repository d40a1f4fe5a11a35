# A queue with its redrive policy, or a dead-letter queue with its redrive permission.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Computed, so that the policies do not depend on the created queue.
  arns = "arn:${data.aws_partition.current.partition}:sqs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"
}

resource "aws_sqs_queue" "this" {
  name                       = var.name
  visibility_timeout_seconds = var.settings.lease_secs
  # The maximum retention of SQS, 14 days: time to inspect dead letters.
  message_retention_seconds = 1209600
  # Long polling by default; 20 s is the maximum.
  receive_wait_time_seconds = 20
  kms_master_key_id         = var.kms_key_arn
  # The maximum, 24 hours: KMS requests cost money, and data keys never leave SQS.
  kms_data_key_reuse_period_seconds = 86400

  redrive_policy = var.dead_letters_to == null ? null : jsonencode({
    deadLetterTargetArn = var.dead_letters_to
    maxReceiveCount     = var.settings.max_receives
  })

  redrive_allow_policy = var.dead_letters_from == null ? jsonencode({ redrivePermission = "denyAll" }) : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.arns}:${var.dead_letters_from}"]
  })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NothingUnencrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = "${local.arns}:${var.name}"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  lifecycle {
    precondition {
      condition     = (var.dead_letters_to == null) == (var.settings.max_receives == null)
      error_message = "A queue must have both max_receives and a dead-letter queue, or neither."
    }
  }
}
