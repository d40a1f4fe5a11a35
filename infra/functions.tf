# The six Lambda functions: triggers, permissions (least privilege) and environment variables.

locals {
  # Minified JSON.
  engines = try(jsonencode(jsondecode(var.engines)), null)

  zips = var.zips == null ? "${path.module}/build" : var.zips

  environment = merge(
    {
      QUIRE_AWS_BUCKET        = module.bucket.name
      QUIRE_AWS_TABLE         = module.table.name
      QUIRE_AWS_QUEUE_PREFIX  = var.name
      QUIRE_METRICS_NAMESPACE = local.metrics
      QUIRE_LOG_FORMAT        = "json"
    },
    local.engines == null ? {} : { QUIRE_ENGINES = local.engines },
    var.emulator ? { QUIRE_DEV = "1" } : {},
  )

  # The maximum pages of a searchable PDF that submit-ingest can create within its timeout.
  longest_pdf = "1000"

  # The routes of the API, from its OpenAPI description, and whether each is public.
  calls = merge([for path, methods in jsondecode(file("${path.module}/../functions/submit/openapi.json")).paths : {
    for method, call in methods : "${upper(method)} ${path}" => try(length(call.security) == 0, false)
    if contains(["delete", "get", "patch", "post", "put"], method)
  }]...)

  # Permissions that several functions share. Every change of a task is a transaction of puts and condition checks.
  change_tasks = {
    sid       = "ChangeTasks"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:PutItem"]
    resources = [module.table.arn]
  }
  # The pages of a task, and the status of engines.
  list_pages = {
    sid       = "ListPages"
    actions   = ["dynamodb:Query"]
    resources = [module.table.arn]
  }
  # Without s3:ListBucket, S3 returns 403 instead of 404 for a missing object.
  miss_objects = {
    sid       = "MissObjects"
    actions   = ["s3:ListBucket"]
    resources = [module.bucket.arn]
  }
  send = { for name, queue in merge(module.queue, module.dead_letter_queue) : name => {
    sid       = "Send${replace(title(replace(name, "-", " ")), " ", "")}"
    actions   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
    resources = [queue.arn]
  } }
  read_results = {
    sid       = "ReadResults"
    actions   = ["s3:GetObject"]
    resources = ["${module.bucket.arn}/pages/*"]
  }
  read_secret = {
    sid       = "ReadSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.webhook.arn]
  }
  # Deletes all objects, in every version, and all records of a task.
  forget = [
    {
      sid       = "ForgetObjects"
      actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      resources = [for folder in ["dead-letters", "documents", "inbox", "pages", "results"] : "${module.bucket.arn}/${folder}/*"]
    },
    {
      sid       = "FindVersions"
      actions   = ["s3:ListBucketVersions"]
      resources = [module.bucket.arn]
    },
    {
      sid       = "ForgetRecords"
      actions   = ["dynamodb:BatchWriteItem", "dynamodb:DeleteItem"]
      resources = [module.table.arn]
    },
  ]
  # API keys are verified by the API and managed by operators. The partition key is that of the records' adapter.
  # A denial takes precedence over every permission. There is no permission to scan, which has no leading keys.
  denials = [{
    sid = "HidePartitions"
    actions = [
      "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
      "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
    ]
    resources  = [module.table.arn]
    conditions = { "ForAnyValue:StringEquals" = { "dynamodb:LeadingKeys" = ["shelf#keys"] } }
  }]
  put_documents = {
    sid       = "PutDocuments"
    actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    resources = ["${module.bucket.arn}/documents/*"]
  }
}

module "submit_api" {
  source = "./modules/function"

  name        = "${var.name}-submit-api"
  description = "The HTTP API"
  zip         = "${local.zips}/submit-api.zip"
  # API Gateway times out after 30 s.
  timeout_secs       = 29
  memory_mb          = 1024
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days

  environment = merge(local.environment, {
    QUIRE_PUBLIC_URL        = coalesce(var.public_url, module.api.url)
    QUIRE_SYNC_LIMIT_SECS   = "25"
    QUIRE_LONGEST_WAIT_SECS = "20"
    # Lambda's payload limit of 6 MB includes headers and base64 encoding, which adds a third.
    QUIRE_MAX_BODY_BYTES = "4194304"
    QUIRE_AWS_CACHE_MB   = "64"
    # Requests that submit-ingest could not complete within its timeout are rejected.
    QUIRE_MAX_RESULT_PAGES = local.longest_pdf
    # The tenants' secrets, which the API returns on request, are derived from it.
    QUIRE_AWS_WEBHOOK_SECRET = aws_secretsmanager_secret.webhook.arn
    # If API Gateway authenticates requests, the Authorization header is not an API key of Quire.
    QUIRE_KEYS = lookup({ KEYS = "required", NONE = "auto" }, var.authorization, "off")
  })
  callers = { api = { principal = "apigateway.amazonaws.com", source_arn = "${module.api.execution_arn}/*/*" } }

  permissions = concat(local.forget, [
    local.change_tasks, local.list_pages, local.read_results, local.miss_objects, local.put_documents, local.read_secret,
    local.send["documents"], local.send["pages"], local.send["callbacks"],
    {
      sid       = "ListTasks"
      actions   = ["dynamodb:Query"]
      resources = [module.table.index_arns["by_tenant"]]
    },
    {
      # Presigned URLs for uploads and results have the permissions of the function that signs them.
      sid       = "SignUploads"
      actions   = ["s3:PutObject"]
      resources = ["${module.bucket.arn}/inbox/*"]
    },
    {
      sid       = "KeepResults"
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${module.bucket.arn}/results/*"]
    },
  ])
}

module "submit_upload" {
  source = "./modules/function"

  name               = "${var.name}-submit-upload"
  description        = "Creates tasks for documents in the bucket's inbox/"
  zip                = "${local.zips}/submit-upload.zip"
  timeout_secs       = 30
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days
  denials            = local.denials
  environment = merge(
    local.environment,
    var.inbox_callback_url == null ? {} : { QUIRE_INBOX_CALLBACK_URL = var.inbox_callback_url },
  )
  callers             = { bucket = { principal = "s3.amazonaws.com", source_arn = module.bucket.arn, source_account = local.account } }
  failed_events_queue = module.failed_events
  permissions         = [local.change_tasks, local.list_pages, local.send["documents"]]
}

resource "aws_s3_bucket_notification" "inbox" {
  bucket = module.bucket.name

  lambda_function {
    id                  = "inbox"
    lambda_function_arn = module.submit_upload.arn
    events              = ["s3:ObjectCreated:*"]
    filter_prefix       = "inbox/"
  }

  # S3 validates the permission to invoke the function.
  depends_on = [module.submit_upload]
}

module "submit_ingest" {
  source = "./modules/function"

  name         = "${var.name}-submit-ingest"
  description  = "Downloads, validates and splits documents"
  zip          = "${local.zips}/submit-ingest.zip"
  timeout_secs = 180
  memory_mb    = 2048
  # One document at a time, of at most 500 MB: the download and the processed copy.
  storage_mb         = 2048
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days
  denials            = local.denials
  environment = merge(local.environment, {
    QUIRE_AWS_CACHE_MB = "512"
    # The share of the timeout and of the disk for a searchable PDF.
    QUIRE_RESULT_LIMIT_SECS = "150"
    QUIRE_MAX_RESULT_BYTES  = "1073741824"
    QUIRE_MAX_RESULT_PAGES  = local.longest_pdf
  })
  queues = { documents = merge(module.queue["documents"], { batch_size = 1, concurrency = var.concurrency.documents }) }

  permissions = [
    local.change_tasks, local.list_pages, local.miss_objects, local.put_documents,
    local.send["pages"], local.send["callbacks"], local.send["documents-dead"],
    {
      sid       = "ReadUploads"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${module.bucket.arn}/inbox/*"]
    },
    {
      # Searchable PDFs are created from the document and the results of its pages.
      sid       = "ReadForResults"
      actions   = ["s3:GetObject"]
      resources = [for folder in ["documents", "pages"] : "${module.bucket.arn}/${folder}/*"]
    },
    {
      # Deletes the result if the task was deleted concurrently.
      sid       = "KeepResults"
      actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:PutObject"]
      resources = ["${module.bucket.arn}/results/*"]
    },
    {
      sid       = "FindVersions"
      actions   = ["s3:ListBucketVersions"]
      resources = [module.bucket.arn]
    },
  ]
}

module "submit_sweep" {
  source = "./modules/function"

  name                = "${var.name}-submit-sweep"
  description         = "Sweeper: sends messages of interrupted submissions, and deletes tasks after their retention"
  zip                 = "${local.zips}/submit-sweep.zip"
  timeout_secs        = 60
  kms_key_arn         = aws_kms_key.this.arn
  log_retention_days  = var.log_retention_days
  denials             = local.denials
  environment         = local.environment
  callers             = { clock = { principal = "events.amazonaws.com", source_arn = aws_cloudwatch_event_rule.sweep.arn } }
  failed_events_queue = module.failed_events

  permissions = concat(local.forget, [
    local.change_tasks, local.list_pages, local.miss_objects, local.send["documents"], local.send["pages"],
    {
      sid       = "FindTasks"
      actions   = ["dynamodb:Query"]
      resources = [for index in ["by_expiry", "undispatched"] : module.table.index_arns[index]]
    },
  ])
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${var.name}-sweep"
  description         = "Every minute, for ${var.name}-submit-sweep"
  schedule_expression = "rate(1 minute)"
}

resource "aws_cloudwatch_event_target" "sweep" {
  rule = aws_cloudwatch_event_rule.sweep.name
  arn  = module.submit_sweep.arn
}

module "notifier" {
  source = "./modules/function"

  name               = "${var.name}-notifier"
  description        = "Delivers callbacks (webhooks)"
  zip                = "${local.zips}/notifier.zip"
  timeout_secs       = 60
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days
  denials            = local.denials
  environment = merge(
    local.environment,
    { QUIRE_AWS_WEBHOOK_SECRET = aws_secretsmanager_secret.webhook.arn },
    var.callback_schedule == null ? {} : { QUIRE_CALLBACK_SCHEDULE = var.callback_schedule },
  )
  queues = { callbacks = merge(module.queue["callbacks"], { batch_size = 10, concurrency = var.concurrency.callbacks }) }

  permissions = [
    local.change_tasks, local.list_pages, local.read_results, local.miss_objects, local.read_secret,
    # A callback for an endpoint in backoff is sent back to the queue as a new message.
    local.send["callbacks"], local.send["callbacks-dead"],
    {
      sid       = "ForgetEndpoints"
      actions   = ["dynamodb:DeleteItem"]
      resources = [module.table.arn]
    },
  ]
}

module "dead_letter" {
  source = "./modules/function"

  name               = "${var.name}-dead-letter"
  description        = "Files dead letters and fails their pages and tasks"
  zip                = "${local.zips}/dead-letter.zip"
  timeout_secs       = 60
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days
  denials            = local.denials
  environment        = local.environment
  queues             = { for name, queue in module.dead_letter_queue : name => merge(queue, { batch_size = 10, concurrency = var.concurrency.dead }) }

  permissions = [
    local.change_tasks, local.list_pages, local.send["pages"], local.send["callbacks"],
    {
      sid       = "FileDeadLetters"
      actions   = ["s3:PutObject"]
      resources = ["${module.bucket.arn}/dead-letters/*"]
    },
  ]
}

module "api" {
  source = "./modules/api"

  name                = var.name
  function_invoke_arn = module.submit_api.invoke_arn
  calls               = local.calls
  authorization       = var.authorization == "KEYS" ? "NONE" : var.authorization
  jwt                 = var.jwt
  throttling          = var.throttling
  kms_key_arn         = aws_kms_key.this.arn
  log_retention_days  = var.log_retention_days
}
