# Three roles: task (the worker), execution (starts the container) and instance.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  arn = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"

  trust = { for role, service in { task = "ecs-tasks", instance = "ec2" } : role => jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "${service}.amazonaws.com" } }]
  }) }

  # Permissions to read the secrets of the container, by service.
  secret_statements = [
    for service, action in { secretsmanager = "secretsmanager:GetSecretValue", ssm = "ssm:GetParameters" } : {
      Sid                                   = "Read${title(service)}"
      Effect                                = "Allow"
      Action                                = [action]
      Resource                              = sort([for arn in values(var.secrets) : arn if split(":", arn)[2] == service])
    } if anytrue([for arn in values(var.secrets) : split(":", arn)[2] == service])
  ]

  task_statements = [
    for statement in concat(var.permissions, [{
      # Scale-in protection while pages are in flight. The ARN of a task is not known before it runs.
      sid       = "ProtectItself"
      actions   = ["ecs:UpdateTaskProtection"]
      resources = ["${local.arn}:task/${var.name}/*"]
    }]) : { Sid = statement.sid, Effect = "Allow", Action = statement.actions, Resource = statement.resources }
  ]

  denials = [for denial in var.denials : {
    Sid       = denial.sid
    Effect    = "Deny"
    Action    = denial.actions
    Resource  = denial.resources
    Condition = denial.conditions
  }]
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = local.trust.task
}

resource "aws_iam_role_policy" "task" {
  name = "what-it-does"
  role = aws_iam_role.task.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.task_statements, local.denials, [{
      Sid      = "UseKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [var.kms_key_arn]
      Condition = { StringEquals = { "kms:ViaService" = [
        for service in ["dynamodb", "s3", "sqs"] : "${service}.${data.aws_region.current.id}.amazonaws.com"
      ] } }
    }])
  })
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = local.trust.task
}

resource "aws_iam_role_policy" "execution" {
  name = "what-it-does"
  role = aws_iam_role.execution.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # This action has no resource-level permissions.
      { Sid = "EnterRegistry", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [var.repository_arn]
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
    ]
  })
}

# ECS reads the secrets with the execution role.
resource "aws_iam_role_policy" "secrets" {
  count = length(var.secrets) == 0 ? 0 : 1

  name   = "secrets"
  role   = aws_iam_role.execution.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.secret_statements })
}

resource "aws_iam_role" "instance" {
  name               = "${var.name}-instance"
  assume_role_policy = local.trust.instance
}

# The AWS managed policy for the ECS agent. The worker cannot use this role: see metadata_options.
resource "aws_iam_role_policy_attachment" "instance" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "this" {
  name = "${var.name}-instance"
  role = aws_iam_role.instance.name
}
