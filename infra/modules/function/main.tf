# A Lambda function with its role, its log and its triggers.

data "aws_region" "current" {}

locals {
  log_group = "/aws/lambda/${var.name}"

  consume = [for name, queue in var.queues : {
    sid = "Consume${replace(title(replace(name, "-", " ")), " ", "")}"
    actions = [
      "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
    ]
    resources = [queue.arn]
  }]
  report_failures = var.failed_events_queue == null ? [] : [{
    sid       = "ReportFailedEvents"
    actions   = ["sqs:SendMessage"]
    resources = [var.failed_events_queue.arn]
  }]
  write_logs = [{
    sid     = "WriteLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # All streams of its log group.
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }]

  statements = [for statement in concat(var.permissions, local.consume, local.report_failures, local.write_logs) : {
    Sid      = statement.sid
    Effect   = "Allow"
    Action   = statement.actions
    Resource = statement.resources
  }]
  denials = [for denial in var.denials : {
    Sid       = denial.sid
    Effect    = "Deny"
    Action    = denial.actions
    Resource  = denial.resources
    Condition = denial.conditions
  }]
  # Least privilege: the key can only be used through these services, not with direct KMS requests.
  use_key = {
    Sid      = "UseKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [var.kms_key_arn]
    Condition = { StringEquals = { "kms:ViaService" = [
      for service in ["dynamodb", "s3", "secretsmanager", "sqs"] :
      "${service}.${data.aws_region.current.id}.amazonaws.com"
    ] } }
  }
}

resource "aws_iam_role" "this" {
  name = var.name

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "what-it-does"
  role   = aws_iam_role.this.name
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.statements, local.denials, [local.use_key]) })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:traceparent propagates through queues; X-Ray would only see single invocations
  #checkov:skip=CKV_AWS_115:queues limit concurrency; reserving less would throttle and spend receives
  #checkov:skip=CKV_AWS_116:asynchronous invocations have a failure destination, which includes the error
  #checkov:skip=CKV_AWS_117:functions only connect to public addresses; a VPC would need a NAT gateway
  #checkov:skip=CKV_AWS_272:the zips are built and applied by the same operator; code signing needs a separate pipeline
  function_name    = var.name
  description      = var.description
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = ["x86_64"]
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  timeout          = var.timeout_secs
  memory_size      = var.memory_mb
  kms_key_arn      = var.kms_key_arn

  ephemeral_storage {
    size = var.storage_mb
  }

  environment {
    variables = var.environment
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each = var.queues

  event_source_arn        = each.value.arn
  function_name           = aws_lambda_function.this.arn
  batch_size              = each.value.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  # Instead of reserved concurrency: further messages stay in the queue and spend no receives.
  scaling_config {
    maximum_concurrency = each.value.concurrency
  }

  lifecycle {
    precondition {
      condition     = each.value.lease_secs >= 6 * var.timeout_secs
      error_message = "The visibility timeout of ${each.key} must be at least 6 × ${var.timeout_secs} s, the timeout of ${var.name} (an AWS recommendation)."
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_permission" "this" {
  for_each = var.callers

  statement_id  = each.key
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = each.value.principal
  source_arn    = each.value.source_arn
  # The ARN of a bucket does not contain the account.
  source_account = each.value.source_account
}

# Asynchronous invocations: an event that fails three times is kept in a queue, which has an alarm.
resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.failed_events_queue == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = var.failed_events_queue.arn
    }
  }
}
