# What is kept: queues, bucket, table, key and secret.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = module.dead_letter_queue["documents-dead"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:quire-documents-dead" }
}

override_resource {
  target = module.dead_letter_queue["pages-dead"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:quire-pages-dead" }
}

override_resource {
  target = module.dead_letter_queue["callbacks-dead"].aws_sqs_queue.this
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:quire-callbacks-dead" }
}

variables {
  zips = "./tests/zips"
}

run "each_queue_redrives_to_its_own_dead_letter_queue_as_the_one_definition_says" {
  assert {
    condition = { for name, queue in module.queue : name => queue.redrive } == {
      for name, settings in jsondecode(file("../shared/platform/queues.json")) : name => {
        deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:quire-${name}-dead"
        maxReceiveCount     = settings.max_receives
      } if !endswith(name, "-dead")
    }
    error_message = "A queue's dead letters go elsewhere, or after another number of receives."
  }

  assert {
    condition = { for name, queue in module.dead_letter_queue : name => queue.redrive_allow } == {
      for name in ["callbacks", "documents", "pages"] : "${name}-dead" => {
        redrivePermission = "byQueue"
        sourceQueueArns   = ["arn:aws:sqs:eu-central-1:123456789012:quire-${name}"]
      }
    }
    error_message = "A dead-letter queue takes from another queue than its own."
  }

  assert {
    condition = { for name, queue in merge(module.queue, module.dead_letter_queue) : name => queue.lease_secs } == {
      for name, settings in jsondecode(file("../shared/platform/queues.json")) : name => settings.lease_secs
    }
    error_message = "A queue's lease is not the one of queues.json."
  }

  assert {
    condition     = { for name, queue in merge(module.queue, module.dead_letter_queue) : name => queue.name } == { for name in keys(jsondecode(file("../shared/platform/queues.json"))) : name => "quire-${name}" }
    error_message = "A queue has a name that the functions do not look for."
  }
}

run "a_queue_is_encrypted_keeps_messages_for_14_days_and_takes_nothing_in_the_clear" {
  module {
    source = "./modules/queue"
  }

  variables {
    name        = "quire-pages-dead"
    settings    = { lease_secs = 360 }
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition     = aws_sqs_queue.this.kms_master_key_id == "arn:aws:kms:eu-central-1:123456789012:key/1" && aws_sqs_queue.this.message_retention_seconds == 14 * 24 * 3600
    error_message = "The queue is not encrypted with our key, or forgets early."
  }

  assert {
    condition = anytrue([for statement in jsondecode(aws_sqs_queue.this.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && statement.Condition == { Bool = { "aws:SecureTransport" = "false" } } && statement.Resource == "arn:aws:sqs:eu-central-1:123456789012:quire-pages-dead"
    ])
    error_message = "Plain HTTP is not refused."
  }
}

run "a_queue_without_an_end_needs_no_dead_letter_queue_and_one_with_an_end_does" {
  command = plan

  module {
    source = "./modules/queue"
  }

  variables {
    name        = "quire-pages"
    settings    = { lease_secs = 30, max_receives = 5 }
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  expect_failures = [aws_sqs_queue.this]
}

run "the_bucket_is_private_versioned_and_encrypted_and_forgets_in_time" {
  module {
    source = "./modules/bucket"
  }

  variables {
    name                = "quire-123456789012-eu-central-1"
    kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1"
    deletion_protection = true
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The public is not kept out."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "An upload's version could be overwritten."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "Objects are not encrypted with our key, or each by a call of its own."
  }

  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.filter).prefix => one(rule.expiration).days if one(rule.filter).prefix != "" } == {
      "documents/" = 97, "pages/" = 97, "results/" = 97, "dead-letters/" = 97, "inbox/" = 7
    }
    error_message = "A prefix is kept for ever, or not long enough."
  }

  assert {
    condition     = anytrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny" && statement.Condition == { Bool = { "aws:SecureTransport" = "false" } } && length(statement.Resource) == 2])
    error_message = "Plain HTTP is not refused."
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "A bucket with documents in it could be deleted."
  }
}

run "the_table_has_the_keys_and_the_indexes_that_the_platform_reads" {
  module {
    source = "./modules/table"
  }

  variables {
    name                = "quire"
    kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1"
    deletion_protection = true
  }

  assert {
    condition     = [aws_dynamodb_table.this.hash_key, aws_dynamodb_table.this.range_key] == ["pk", "sk"] && { for attribute in aws_dynamodb_table.this.attribute : attribute.name => attribute.type } == { pk = "S", sk = "S", undispatched = "S", created_at = "N", tenant = "S", listed = "S", expiry_shard = "S", expires_at_ms = "N" }
    error_message = "The keys are others than in provision.rs."
  }

  assert {
    condition = toset([for index in aws_dynamodb_table.this.global_secondary_index : join(" ", [index.name, index.hash_key, index.range_key, index.projection_type])]) == toset([
      "undispatched undispatched created_at KEYS_ONLY", "by_tenant tenant listed KEYS_ONLY", "by_expiry expiry_shard expires_at_ms KEYS_ONLY",
    ])
    error_message = "The indexes are others than in provision.rs."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.ttl).attribute_name == "expires_at" && one(aws_dynamodb_table.this.ttl).enabled
    error_message = "Records of tasks do not expire."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.point_in_time_recovery).enabled && one(aws_dynamodb_table.this.server_side_encryption).kms_key_arn == var.kms_key_arn && aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "The table is not encrypted, not recoverable or not protected."
  }
}

run "the_key_is_rotated_and_open_to_the_account_and_our_logs_only" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key is not rotated, or can be gone within days."
  }

  assert {
    condition = [for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Principal] == [
      { AWS = "arn:aws:iam::123456789012:root" }, { Service = "logs.eu-central-1.amazonaws.com" },
    ]
    error_message = "Somebody else may use the key."
  }
}

run "what_need_not_be_kept_can_be_taken_down" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_secretsmanager_secret.webhook.recovery_window_in_days == 0 && aws_ecr_repository.worker.force_delete && aws_kms_key.this.deletion_window_in_days == 7
    error_message = "The next deployment of that name would meet what is left of this one."
  }
}
