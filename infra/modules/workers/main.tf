# GPU workers: one container per GPU, on instances that ECS starts and stops. See instances.tf and scaling.tf.

data "aws_region" "current" {}

locals {
  # A g6.xlarge or g5.xlarge has 16 GiB, of which about 15 GiB are available. Files in /tmp count.
  memory_mb = 13312
  # The disk cache of documents (QUIRE_AWS_CACHE_MB), and an evicted document that is still in use.
  tmp_mb   = 3072
  cache_mb = 2048

  environment = merge(var.environment, {
    AWS_REGION         = data.aws_region.current.id
    QUIRE_AWS_CACHE_MB = tostring(local.cache_mb)
  })

  container = {
    name                   = "worker"
    image                  = var.image
    essential              = true
    memory                 = local.memory_mb
    readonlyRootFilesystem = true
    # The notice of Spot; the worker releases its leases and exits within 110 s.
    stopTimeout          = 120
    environment          = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets              = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
    resourceRequirements = [{ type = "GPU", value = "1" }]

    linuxParameters = {
      initProcessEnabled = true
      # The only writable path, in memory: documents are never written to the disk of an instance.
      tmpfs = [{ containerPath = "/tmp", size = local.tmp_mb, mountOptions = ["rw", "noexec", "nosuid", "nodev"] }]
    }

    # ECS ignores the health check of the image.
    healthCheck = {
      command  = ["CMD", "quire", "alive"]
      interval = 15
      timeout  = 5
      retries  = 3
      # Loading the models and testing the GPU takes time.
      startPeriod = 120
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.id
        awslogs-stream-prefix = "worker"
        # A full log buffer must not block the worker.
        mode            = "non-blocking"
        max-buffer-size = "4m"
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# Container Insights would create it itself, with unlimited retention.
resource "aws_cloudwatch_log_group" "insights" {
  #checkov:skip=CKV_AWS_338:it only contains metrics, which CloudWatch also keeps for 15 months
  name              = "/aws/ecs/containerinsights/${var.name}/performance"
  retention_in_days = 7
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  # Scaling uses its metric of running workers.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  depends_on = [aws_cloudwatch_log_group.insights]
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode([local.container])
}

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = 0
  # Two workers do not fit on one GPU, so the old one is stopped first. Pages wait in the queue.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.this.name
    weight            = 1
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.this.id]
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Auto scaling manages it.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_ecs_cluster_capacity_providers.this,
    aws_iam_role_policy.task,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.secrets,
  ]
}
