# Storage: queues, bucket, table, KMS key and webhook secret.

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

run "each_queue_redrives_to_its_dead_letter_queue" {
  assert {
    condition = { for name, queue in module.queue : name => queue.redrive } == {
      for name, settings in jsondecode(file("../shared/platform/queues.json")) : name => {
        deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:quire-${name}-dead"
        maxReceiveCount     = settings.max_receives
      } if !endswith(name, "-dead")
    }
    error_message = "Each queue must redrive to its dead-letter queue after max_receives."
  }

  assert {
    condition = { for name, queue in module.dead_letter_queue : name => queue.redrive_allow } == {
      for name in ["callbacks", "documents", "pages"] : "${name}-dead" => {
        redrivePermission = "byQueue"
        sourceQueueArns   = ["arn:aws:sqs:eu-central-1:123456789012:quire-${name}"]
      }
    }
    error_message = "A dead-letter queue must only accept its source queue."
  }

  assert {
    condition = { for name, queue in merge(module.queue, module.dead_letter_queue) : name => queue.lease_secs } == {
      for name, settings in jsondecode(file("../shared/platform/queues.json")) : name => settings.lease_secs
    }
    error_message = "The visibility timeout must match queues.json."
  }

  assert {
    condition     = { for name, queue in merge(module.queue, module.dead_letter_queue) : name => queue.name } == { for name in keys(jsondecode(file("../shared/platform/queues.json"))) : name => "quire-${name}" }
    error_message = "The names of queues must have the prefix that the functions use."
  }
}

run "a_queue_is_encrypted_with_14_days_of_retention_and_requires_tls" {
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
    error_message = "The queue must be encrypted with the key and keep messages for 14 days."
  }

  assert {
    condition = anytrue([for statement in jsondecode(aws_sqs_queue.this.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && statement.Condition == { Bool = { "aws:SecureTransport" = "false" } } && statement.Resource == "arn:aws:sqs:eu-central-1:123456789012:quire-pages-dead"
    ])
    error_message = "Plain HTTP must be denied."
  }
}

run "max_receives_requires_a_dead_letter_queue" {
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

run "the_bucket_is_private_versioned_and_encrypted_and_expires_objects" {
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
    error_message = "Public access must be blocked."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "Versioning must be enabled."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "Objects must be encrypted with the key and a bucket key."
  }

  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : one(rule.filter).prefix => one(rule.expiration).days if one(rule.filter).prefix != "" } == {
      "documents/" = 97, "pages/" = 97, "results/" = 97, "dead-letters/" = 97, "inbox/" = 7
    }
    error_message = "Each prefix must have its expiration."
  }

  assert {
    condition     = anytrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny" && statement.Condition == { Bool = { "aws:SecureTransport" = "false" } } && length(statement.Resource) == 2])
    error_message = "Plain HTTP must be denied."
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "A non-empty bucket must not be deleted."
  }
}

run "the_table_has_the_keys_and_indexes_of_the_platform" {
  module {
    source = "./modules/table"
  }

  variables {
    name                = "quire"
    kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1"
    deletion_protection = true
    recovery_days       = 7
  }

  assert {
    condition     = [aws_dynamodb_table.this.hash_key, aws_dynamodb_table.this.range_key] == ["pk", "sk"] && { for attribute in aws_dynamodb_table.this.attribute : attribute.name => attribute.type } == { pk = "S", sk = "S", undispatched = "S", created_at = "N", tenant = "S", listed = "S", expiry_shard = "S", expires_at_ms = "N" }
    error_message = "The keys must match provision.rs."
  }

  assert {
    condition = toset([for index in aws_dynamodb_table.this.global_secondary_index : join(" ", [index.name, index.hash_key, index.range_key, index.projection_type])]) == toset([
      "undispatched undispatched created_at KEYS_ONLY", "by_tenant tenant listed KEYS_ONLY", "by_expiry expiry_shard expires_at_ms KEYS_ONLY",
    ])
    error_message = "The indexes must match provision.rs."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.ttl).attribute_name == "expires_at" && one(aws_dynamodb_table.this.ttl).enabled
    error_message = "TTL must be enabled."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.point_in_time_recovery).enabled && one(aws_dynamodb_table.this.point_in_time_recovery).recovery_period_in_days == 7 && one(aws_dynamodb_table.this.server_side_encryption).kms_key_arn == var.kms_key_arn && aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "The table must be encrypted, with point-in-time recovery and deletion protection."
  }
}

run "the_key_is_rotated_and_only_for_the_account_and_its_logs" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key must be rotated and have a long deletion window."
  }

  assert {
    condition = [for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Principal] == [
      { AWS = "arn:aws:iam::123456789012:root" }, { Service = "logs.eu-central-1.amazonaws.com" },
    ]
    error_message = "Only the account and its logs may use the key."
  }
}

run "without_deletion_protection_everything_can_be_destroyed" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_secretsmanager_secret.webhook.recovery_window_in_days == 0 && aws_ecr_repository.worker.force_delete && aws_kms_key.this.deletion_window_in_days == 7
    error_message = "Nothing may be left for the next deployment with this name."
  }
}
