# The workers: image, permissions, container and scaling.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips = "./tests/zips"

  # Variables of the workers module, for the runs that test it.
  name               = "quire-worker"
  image              = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  repository_arn     = "arn:aws:ecr:eu-central-1:123456789012:repository/quire-worker"
  vpc_id             = "vpc-1"
  subnet_ids         = ["subnet-1", "subnet-2"]
  ami_id             = null
  instance_types     = ["g6.xlarge", "g5.xlarge"]
  max                = 6
  backlog            = 100
  spot               = { on_demand_base = 1, percentage = 70 }
  queue_name         = "quire-pages"
  metrics_namespace  = "Quire/quire"
  environment        = { QUIRE_AWS_BUCKET = "bucket" }
  secrets            = {}
  permissions        = []
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days = 30
}

run "without_an_image_there_is_only_the_repository" {
  variables {
    name = "quire"
  }

  assert {
    condition     = length(module.workers) == 0 && aws_ecr_repository.worker.image_tag_mutability == "IMMUTABLE" && one(aws_ecr_repository.worker.image_scanning_configuration).scan_on_push
    error_message = "There must be a repository and no workers."
  }
}

run "a_worker_has_only_its_own_permissions" {
  variables {
    name              = "quire"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  assert {
    condition = jsonencode({ for statement in module.workers[0].policy.Statement : statement.Sid => sort(statement.Action) }) == jsonencode({
      ChangeTasks    = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:PutItem"]
      FindVersions   = ["s3:ListBucketVersions"]
      ForgetReviews  = ["dynamodb:DeleteItem"]
      HidePartitions = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
      ListPages      = ["dynamodb:Query"]
      MissObjects    = ["s3:ListBucket"]
      PutResults     = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      ReadDocuments  = ["s3:GetObject"]
      SendCallbacks  = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      SendPages      = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      SendPagesDead  = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      TakePages      = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      ProtectItself  = ["ecs:UpdateTaskProtection"]
      UseKey         = ["kms:Decrypt", "kms:GenerateDataKey"]
    })
    error_message = "A worker must have exactly these permissions."
  }

  assert {
    condition = jsonencode([for statement in module.workers[0].policy.Statement : [statement.Sid, statement.Resource, statement.Condition] if statement.Effect == "Deny"]) == jsonencode([
      ["HidePartitions", [module.table.arn], { "ForAnyValue:StringEquals" = { "dynamodb:LeadingKeys" = ["shelf#keys"] } }],
    ])
    error_message = "A worker must be denied the partition of the API keys."
  }

  assert {
    condition = toset([for resource in flatten(module.workers[0].policy.Statement[*].Resource) : resource if strcontains(resource, "*")]) == toset([
      "arn:aws:ecs:eu-central-1:123456789012:task/quire-worker/*", "arn:aws:s3:::bucket/documents/*", "arn:aws:s3:::bucket/pages/*",
    ])
    error_message = "Resources must not have other wildcards."
  }
}

run "the_container_is_read_only_and_stops_in_time" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.tmpfs[0].containerPath == "/tmp"
    error_message = "The root file system must be read-only, with /tmp in memory."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout == 120 && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].healthCheck.command == ["CMD", "quire", "alive"]
    error_message = "The stop timeout must allow for draining, and there must be a health check."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].resourceRequirements == [{ type = "GPU", value = "1" }] && aws_ecs_task_definition.this.network_mode == "awsvpc"
    error_message = "A worker must have its own GPU and network interface."
  }

  assert {
    condition     = tonumber({ for entry in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : entry.name => entry.value }.QUIRE_AWS_CACHE_MB) + 512 <= jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.tmpfs[0].size
    error_message = "/tmp must have space for the cache and the largest document."
  }
}

run "containers_cannot_use_the_role_of_the_instance" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = one(aws_launch_template.this.metadata_options).http_tokens == "required" && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "The metadata service must require tokens with a hop limit of 1."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n") && startswith(base64decode(aws_launch_template.this.user_data), "#!/bin/bash\n") && strcontains(base64decode(aws_launch_template.this.user_data), "\nECS_AWSVPC_BLOCK_IMDS=true\n")
    error_message = "The user data must be a script that enables draining and blocks the metadata service."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443 && aws_vpc_security_group_egress_rule.https.to_port == 443 && length(coalesce(aws_security_group.this.ingress, [])) == 0
    error_message = "Only outgoing HTTPS may be permitted."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Sid if contains(statement.Resource, "*")] == ["EnterRegistry"]
    error_message = "Only the registry's token may have a wildcard resource."
  }
}

run "workers_scale_from_zero_to_the_maximum" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = [aws_appautoscaling_target.this.min_capacity, aws_appautoscaling_target.this.max_capacity] == [0, 6] && [aws_autoscaling_group.this.min_size, aws_autoscaling_group.this.max_size] == [0, 6] && aws_ecs_service.this.desired_count == 0
    error_message = "The minimum must be 0 and the maximum worker_max."
  }

  assert {
    condition     = [for spread in one(aws_autoscaling_group.this.mixed_instances_policy).instances_distribution : [spread.on_demand_base_capacity, spread.on_demand_percentage_above_base_capacity]] == [[1, 30]]
    error_message = "The share of Spot must be as configured."
  }

  assert {
    condition     = aws_autoscaling_group.this.protect_from_scale_in && one(aws_ecs_capacity_provider.this.auto_scaling_group_provider).managed_termination_protection == "ENABLED"
    error_message = "Instances with a worker must have scale-in protection."
  }

  # 1 worker for up to 100 pages, 2 for up to 300, 4 for more: at least half of the needed workers.
  assert {
    condition = toset([for step in one(aws_appautoscaling_policy.wake.step_scaling_policy_configuration).step_adjustment : [tonumber(step.metric_interval_lower_bound), try(tonumber(step.metric_interval_upper_bound), null), step.scaling_adjustment]]) == toset([
      [0, 100, 1], [100, 300, 2], [300, null, 4],
    ])
    error_message = "The steps must be adjacent and not start more workers than needed."
  }

  assert {
    condition     = one(aws_appautoscaling_policy.sleep.step_scaling_policy_configuration).adjustment_type == "ExactCapacity" && [for step in one(aws_appautoscaling_policy.sleep.step_scaling_policy_configuration).step_adjustment : step.scaling_adjustment] == [0]
    error_message = "Sleep must stop all workers."
  }

  assert {
    condition     = one(aws_appautoscaling_policy.follow.target_tracking_scaling_policy_configuration).target_value == 100
    error_message = "The target must be worker_backlog."
  }
}

run "missing_metrics_do_not_scale" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.scaling : alarm.treat_missing_data == "notBreaching"])
    error_message = "Missing data must not breach."
  }

  # An expression uses exactly its metrics.
  assert {
    condition = alltrue(flatten([for alarm in aws_cloudwatch_metric_alarm.scaling : [
      toset(flatten(regexall("\\b([a-z]+)\\b", join("", [for query in alarm.metric_query : query.expression if query.return_data == true])))) == toset([for query in alarm.metric_query : query.id if length(query.metric) > 0])
    ]]))
    error_message = "An expression must use exactly its metrics."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.scaling["sleep"].evaluation_periods == 10 && alltrue([for query in aws_cloudwatch_metric_alarm.scaling["sleep"].metric_query : one(query.metric).period == 60 if length(query.metric) > 0])
    error_message = "Sleep must wait for ten minutes."
  }

  # Metrics that wake workers must keep them awake: otherwise one alarm reverts the other.
  assert {
    condition     = length(setintersection(toset([for query in aws_cloudwatch_metric_alarm.scaling["wake"].metric_query : query.id]), toset(["visible", "queued"]))) == 2 && length(setintersection(toset([for query in aws_cloudwatch_metric_alarm.scaling["sleep"].metric_query : query.id]), toset(["visible", "queued", "flight", "delayed"]))) == 4
    error_message = "Metrics of wake must be metrics of sleep."
  }
}

run "an_image_without_a_digest_is_rejected" {
  command = plan

  variables {
    name              = "quire"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker:latest"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.worker_image]
}

run "invalid_workers_are_rejected" {
  command = plan

  variables {
    name                  = "quire"
    worker_image          = "repository@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker_ami_id         = "newest"
    worker_instance_types = ["c7i.large"]
    worker_max            = 0
    worker_backlog        = 0
    worker_spot           = { on_demand_base = 0, percentage = 101 }
  }

  expect_failures = [
    var.worker_vpc_id, var.worker_subnet_ids, var.worker_ami_id, var.worker_instance_types, var.worker_max, var.worker_backlog,
    var.worker_spot,
  ]
}

run "secrets_are_injected_with_least_privilege" {
  module {
    source = "./modules/workers"
  }

  variables {
    secrets = { VLLM_API_KEY = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1" }
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "VLLM_API_KEY", valueFrom = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1" }]
    error_message = "The worker must get the secret."
  }

  assert {
    condition     = jsonencode(jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[*].Resource) == jsonencode([["arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1"]])
    error_message = "Exactly this secret must be readable."
  }
}

run "engines_that_are_not_json_are_rejected" {
  command = plan

  variables {
    name    = "quire"
    engines = "{"
  }

  expect_failures = [var.engines]
}

run "functions_and_workers_have_the_same_engines" {
  variables {
    name              = "quire"
    engines           = "{ \"engines\": { \"pp-ocr@v6-small\": { \"kind\": \"pp-ocr\" } }, \"routes\": [] }"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  assert {
    condition     = local.environment.QUIRE_ENGINES == "{\"engines\":{\"pp-ocr@v6-small\":{\"kind\":\"pp-ocr\"}},\"routes\":[]}"
    error_message = "The functions and the workers must have the same engines."
  }

  assert {
    condition     = strcontains(output.environment, "export QUIRE_ENGINES='{\"engines\":{\"pp-ocr@v6-small\":{\"kind\":\"pp-ocr\"}},\"routes\":[]}'\n")
    error_message = "The output environment must have the same engines."
  }
}
