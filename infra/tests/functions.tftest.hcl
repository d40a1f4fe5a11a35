# The functions: triggers, permissions and environment variables.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips = "./tests/zips"

  # Variables of the function module, for the runs that test it.
  name               = "quire"
  description        = "A function"
  zip                = "./tests/zips/notifier.zip"
  timeout_secs       = 60
  environment        = {}
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days = 30
  permissions        = []
}

run "no_function_has_wildcard_permissions" {
  assert {
    condition = alltrue(flatten([for function in [module.submit_api, module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] : [
      for statement in function.policy.Statement : [for action in statement.Action : !strcontains(action, "*")]
    ]]))
    error_message = "Actions must not have wildcards."
  }

  # Exceptions: objects under a prefix, and the streams of the function's log, whose names are not known in advance.
  assert {
    condition = alltrue(flatten([for function in [module.submit_api, module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] : [
      for statement in function.policy.Statement : [
        for resource in statement.Resource : !strcontains(resource, "*") || can(regex("^arn:aws:s3:::bucket/(documents|pages|results|inbox|dead-letters)/[*]$", resource)) || (statement.Sid == "WriteLogs" && resource == "arn:aws:logs:eu-central-1:123456789012:log-group:group:*")
      ]
    ]]))
    error_message = "Resources must not have other wildcards."
  }

  assert {
    condition     = alltrue([for function in [module.submit_api, module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] : function.policy.Statement[length(function.policy.Statement) - 1].Condition.StringEquals["kms:ViaService"] == [for service in ["dynamodb", "s3", "secretsmanager", "sqs"] : "${service}.eu-central-1.amazonaws.com"]])
    error_message = "The key may only be used through other services."
  }
}

run "each_function_has_only_its_own_permissions" {
  assert {
    condition = jsonencode({ for name, function in { submit-api = module.submit_api, submit-upload = module.submit_upload, submit-ingest = module.submit_ingest, submit-sweep = module.submit_sweep, notifier = module.notifier, dead-letter = module.dead_letter } : name =>
      sort([for statement in function.policy.Statement : statement.Sid if !contains(["ChangeTasks", "WriteLogs", "UseKey"], statement.Sid)])
      }) == jsonencode({
      submit-api    = ["FindVersions", "ForgetObjects", "ForgetRecords", "KeepResults", "ListPages", "ListTasks", "MissObjects", "PutDocuments", "ReadResults", "ReadSecret", "SendCallbacks", "SendDocuments", "SendPages", "SignUploads"]
      submit-upload = ["HidePartitions", "ListPages", "ReportFailedEvents", "SendDocuments"]
      submit-ingest = ["ConsumeDocuments", "FindVersions", "HidePartitions", "KeepResults", "ListPages", "MissObjects", "PutDocuments", "ReadForResults", "ReadUploads", "SendCallbacks", "SendDocumentsDead", "SendPages"]
      submit-sweep  = ["FindTasks", "FindVersions", "ForgetObjects", "ForgetRecords", "HidePartitions", "ListPages", "MissObjects", "ReportFailedEvents", "SendDocuments", "SendPages"]
      notifier      = ["ConsumeCallbacks", "ForgetEndpoints", "HidePartitions", "ListPages", "MissObjects", "ReadResults", "ReadSecret", "SendCallbacks", "SendCallbacksDead"]
      dead-letter   = ["ConsumeCallbacksDead", "ConsumeDocumentsDead", "ConsumePagesDead", "FileDeadLetters", "HidePartitions", "ListPages", "SendCallbacks", "SendPages"]
    })
    error_message = "Each function must have exactly these permissions."
  }
}

run "only_the_api_can_read_or_write_api_keys" {
  assert {
    condition = alltrue([for function in [module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] :
      jsonencode(one([for statement in function.policy.Statement : statement if statement.Sid == "HidePartitions"])) == jsonencode({
        Sid       = "HidePartitions"
        Effect    = "Deny"
        Action    = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
        Resource  = [module.table.arn]
        Condition = { "ForAnyValue:StringEquals" = { "dynamodb:LeadingKeys" = ["shelf#keys"] } }
      })
    ])
    error_message = "The partition of the API keys must be denied."
  }

  # A permission for which the denial has no effect would need another condition.
  assert {
    condition = alltrue(flatten([for function in [module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] : [
      for statement in function.policy.Statement : [
        for action in statement.Action : contains(one([for denial in function.policy.Statement : denial.Action if denial.Effect == "Deny"]), action)
        if startswith(action, "dynamodb:")
      ]
    ]]))
    error_message = "Every action on the table must be among the denied ones."
  }

  assert {
    condition     = alltrue([for statement in module.submit_api.policy.Statement : statement.Effect == "Allow"])
    error_message = "The API verifies API keys."
  }
}

run "queues_trigger_functions_in_batches_with_partial_failures" {
  assert {
    condition = { for name, mapping in merge(module.submit_ingest.mappings, module.notifier.mappings, module.dead_letter.mappings) : name => [mapping.batch_size, one(mapping.scaling_config).maximum_concurrency] } == {
      documents = [1, 20], callbacks = [10, 10], documents-dead = [10, 2], pages-dead = [10, 2], callbacks-dead = [10, 2]
    }
    error_message = "Each queue must trigger its function with this batch size and concurrency."
  }

  assert {
    condition     = alltrue([for mapping in merge(module.submit_ingest.mappings, module.notifier.mappings, module.dead_letter.mappings) : mapping.function_response_types == toset(["ReportBatchItemFailures"])])
    error_message = "A batch must report failures per message."
  }
}

run "the_functions_have_their_environment_variables" {
  assert {
    condition = alltrue([for function in [module.submit_api, module.submit_upload, module.submit_ingest, module.submit_sweep, module.notifier, module.dead_letter] :
      alltrue([for name in ["QUIRE_AWS_BUCKET", "QUIRE_AWS_TABLE", "QUIRE_AWS_QUEUE_PREFIX", "QUIRE_METRICS_NAMESPACE"] : lookup(function.environment, name, "") != ""]) && !contains(keys(function.environment), "QUIRE_DEV")
    ])
    error_message = "Each function must know its resources, and must not permit plain HTTP."
  }

  assert {
    condition     = module.submit_api.environment.QUIRE_PUBLIC_URL == "https://abcdefghij.execute-api.eu-central-1.amazonaws.com" && tonumber(module.submit_api.environment.QUIRE_SYNC_LIMIT_SECS) < 29
    error_message = "status_url must lead to the API, and the function must time out before API Gateway."
  }

  assert {
    condition     = alltrue([for function in [module.notifier, module.submit_api] : function.environment.QUIRE_AWS_WEBHOOK_SECRET == "arn:aws:secretsmanager:eu-central-1:123456789012:secret:quire/webhook-AbCdEf"])
    error_message = "The notifier and the API must know the signing secret."
  }

  assert {
    condition     = strcontains(output.environment, "export QUIRE_PLATFORM=aws\n") && strcontains(output.environment, "export QUIRE_AWS_QUEUE_PREFIX=quire\n") && length(regexall("(?m)^export [A-Z_]+=[^ ]+$", output.environment)) == 6
    error_message = "The output environment must be valid shell exports."
  }
}

run "callbacks_are_retried_by_the_configured_schedule" {
  variables {
    callback_schedule = "5s,5m,30m,2h,5h,10h,10h"
  }

  assert {
    condition     = module.notifier.environment.QUIRE_CALLBACK_SCHEDULE == "5s,5m,30m,2h,5h,10h,10h"
    error_message = "The notifier must know the schedule."
  }
}

run "only_an_emulator_permits_plain_http" {
  variables {
    emulator           = true
    inbox_callback_url = "http://127.0.0.1:9000/told"
  }

  assert {
    condition     = module.submit_api.environment.QUIRE_DEV == "1" && module.submit_upload.environment.QUIRE_INBOX_CALLBACK_URL == "http://127.0.0.1:9000/told"
    error_message = "On an emulator plain HTTP must be permitted."
  }
}

run "uploads_trigger_a_function" {
  assert {
    condition     = one(aws_s3_bucket_notification.inbox.lambda_function).filter_prefix == "inbox/" && one(aws_s3_bucket_notification.inbox.lambda_function).events == toset(["s3:ObjectCreated:*"])
    error_message = "Exactly uploads must trigger the function."
  }
}

run "an_event_that_fails_three_times_goes_to_the_failure_destination" {
  module {
    source = "./modules/function"
  }

  variables {
    failed_events_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:quire-failed-events" }
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.this[0].maximum_retry_attempts == 2 && one(one(aws_lambda_function_event_invoke_config.this[0].destination_config).on_failure).destination == "arn:aws:sqs:eu-central-1:123456789012:quire-failed-events"
    error_message = "Failed events must go to the queue."
  }
}

run "queues_limit_the_concurrency_of_functions" {
  module {
    source = "./modules/function"
  }

  assert {
    condition     = aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.architectures == tolist(["x86_64"]) && coalesce(aws_lambda_function.this.reserved_concurrent_executions, -1) == -1
    error_message = "The runtime must match the zips, and no concurrency may be reserved."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.name == "/aws/lambda/quire"
    error_message = "The log must be encrypted and have a retention."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0
    error_message = "A function that a queue triggers must have no failure destination."
  }
}

run "a_visibility_timeout_shorter_than_six_function_timeouts_is_rejected" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    queues = { callbacks = { arn = "arn:aws:sqs:eu-central-1:123456789012:quire-callbacks", lease_secs = 359, batch_size = 10, concurrency = 2 } }
  }

  expect_failures = [aws_lambda_event_source_mapping.this]
}

run "a_wildcard_in_actions_is_rejected" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    permissions = [{ sid = "All", actions = ["s3:Get*"], resources = ["arn:aws:s3:::bucket/pages/*"] }]
  }

  expect_failures = [var.permissions]
}

run "a_wildcard_resource_is_rejected" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    permissions = [{ sid = "All", actions = ["s3:GetObject"], resources = ["*"] }]
  }

  expect_failures = [var.permissions]
}

run "a_missing_zip_is_reported" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    zip = "./tests/zips/unheard-of.zip"
  }

  expect_failures = [var.zip]
}
