# Where documents and results are kept.

locals {
  # Prefixes of keys, as shared/tasks/src/key.rs has them, with the days after which nothing of them is left even if
  # nobody removed it in time: submit-sweep does, when a task's own time is over, at most 90 days after it was made. The
  # inbox is for passing through: what was accepted has been copied to documents/.
  longest = 97
  kept = {
    "documents/"    = local.longest
    "pages/"        = local.longest
    "results/"      = local.longest
    "dead-letters/" = local.longest
    "inbox/"        = 7
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:who reads what is CloudTrail's to tell, for the whole account; access logs would copy customers' keys into one more bucket
  #checkov:skip=CKV_AWS_144:documents are kept for weeks and can be sent again; a second region doubles their cost, and may be against the customer's law
  bucket        = var.name
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# An upload is read in the version that its event named, whatever was put over it since.
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # One data key for many objects: a page's result would otherwise cost two calls to KMS beside two to S3.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  dynamic "rule" {
    for_each = local.kept

    content {
      id     = "expire-${trimsuffix(rule.key, "/")}"
      status = "Enabled"

      filter {
        prefix = rule.key
      }

      expiration {
        days = rule.value
      }
    }
  }

  rule {
    id     = "tidy"
    status = "Enabled"

    filter {
      prefix = ""
    }

    # Expired objects become old versions, and those leave a marker.
    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # Rules about versions make no sense to S3 before there are any.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NothingUnencrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}
