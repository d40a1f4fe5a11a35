# A queue, and how it stands to its dead-letter queue, or to the one whose dead letters it takes.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Known before there is the queue, so that its policies can be a part of it.
  arns = "arn:${data.aws_partition.current.partition}:sqs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"
}

resource "aws_sqs_queue" "this" {
  name                       = var.name
  visibility_timeout_seconds = var.settings.lease_secs
  # The longest that SQS keeps a message: as long as somebody may want to look at it.
  message_retention_seconds = 1209600
  # Whoever asks without saying how long, waits.
  receive_wait_time_seconds = 20
  kms_master_key_id         = var.kms_key_arn
  # The longest: KMS is paid for by the call, and a data key never leaves SQS.
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
      error_message = "A queue has both max_receives and a dead-letter queue, or neither."
    }
  }
}
