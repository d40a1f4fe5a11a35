# The workers, and the repository of their image, which is created before there is an image.

resource "aws_ecr_repository" "worker" {
  name                 = "${var.name}-worker"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this.arn
  }
}

# An image with CUDA and models has several gigabytes. The running image is among the newest ten.
resource "aws_ecr_lifecycle_policy" "worker" {
  repository = aws_ecr_repository.worker.name

  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Keep the newest ten images"
    selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
    action       = { type = "expire" }
  }] })
}

module "workers" {
  source = "./modules/workers"
  count  = var.worker_image == null ? 0 : 1

  name               = "${var.name}-worker"
  image              = var.worker_image
  repository_arn     = aws_ecr_repository.worker.arn
  vpc_id             = var.worker_vpc_id
  subnet_ids         = var.worker_subnet_ids
  ami_id             = var.worker_ami_id
  instance_types     = var.worker_instance_types
  max                = var.worker_max
  backlog            = var.worker_backlog
  spot               = var.worker_spot
  queue_name         = module.queue["pages"].name
  metrics_namespace  = local.metrics
  environment        = local.environment
  secrets            = var.worker_secrets
  kms_key_arn        = aws_kms_key.this.arn
  log_retention_days = var.log_retention_days
  denials            = local.denials

  permissions = [
    local.change_tasks, local.list_pages, local.miss_objects,
    # A page whose engine is unavailable is sent back to the queue as a new message.
    local.send["pages"], local.send["callbacks"], local.send["pages-dead"],
    {
      sid       = "TakePages"
      actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      resources = [module.queue["pages"].arn]
    },
    {
      sid       = "ReadDocuments"
      actions   = ["s3:GetObject"]
      resources = ["${module.bucket.arn}/documents/*"]
    },
    {
      # Deletes the result if the task was deleted concurrently.
      sid       = "PutResults"
      actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      resources = ["${module.bucket.arn}/pages/*"]
    },
    {
      sid       = "FindVersions"
      actions   = ["s3:ListBucketVersions"]
      resources = [module.bucket.arn]
    },
    {
      sid       = "ForgetReviews"
      actions   = ["dynamodb:DeleteItem"]
      resources = [module.table.arn]
    },
  ]
}
