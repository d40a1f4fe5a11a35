# The task table. Its keys and its index are the ones of shared/platform/src/aws/provision.rs.

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

  # Sparse: it holds the tasks whose messages were perhaps not sent, and nothing else.
  global_secondary_index {
    name            = "undispatched"
    hash_key        = "undispatched"
    range_key       = "created_at"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
