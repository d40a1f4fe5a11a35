# The task table. Keys and indexes must match shared/platform-aws/src/provision.rs.

resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "undispatched"
    type = "S"
  }

  attribute {
    name = "created_at"
    type = "N"
  }

  attribute {
    name = "tenant"
    type = "S"
  }

  attribute {
    name = "listed"
    type = "S"
  }

  attribute {
    name = "expiry_shard"
    type = "S"
  }

  attribute {
    name = "expires_at_ms"
    type = "N"
  }

  # Sparse index: only tasks whose messages may not have been sent.
  global_secondary_index {
    name            = "undispatched"
    hash_key        = "undispatched"
    range_key       = "created_at"
    projection_type = "KEYS_ONLY"
  }

  # These attributes do not change, except the expiry, at most once: updates of a task do not write to the index.
  global_secondary_index {
    name            = "by_tenant"
    hash_key        = "tenant"
    range_key       = "listed"
    projection_type = "KEYS_ONLY"
  }

  global_secondary_index {
    name            = "by_expiry"
    hash_key        = "expiry_shard"
    range_key       = "expires_at_ms"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  # Deleted records can be restored for this long.
  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.recovery_days
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
