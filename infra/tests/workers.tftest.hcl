# The workers: none without an image; what they may do; from none to many and back.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips = "./tests/zips"

  # The module's, for the runs that try it.
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

run "without_an_image_there_is_a_registry_and_no_worker" {
  variables {
    name = "quire"
  }

  assert {
    condition     = length(module.workers) == 0 && aws_ecr_repository.worker.image_tag_mutability == "IMMUTABLE" && one(aws_ecr_repository.worker.image_scanning_configuration).scan_on_push
    error_message = "There is something to pay for, or no place to push an image to."
  }
}

run "a_worker_reads_pages_and_does_nothing_else" {
  variables {
    name              = "quire"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  assert {
    condition = jsonencode({ for statement in module.workers[0].policy.Statement : statement.Sid => sort(statement.Action) }) == jsonencode({
      ChangeTasks   = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:PutItem"]
      FindVersions  = ["s3:ListBucketVersions"]
      ForgetReviews = ["dynamodb:DeleteItem"]
      ListPages     = ["dynamodb:Query"]
      MissObjects   = ["s3:ListBucket"]
      PutResults    = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      ReadDocuments = ["s3:GetObject"]
      SendCallbacks = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      SendPages     = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      SendPagesDead = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      TakePages     = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      ProtectItself = ["ecs:UpdateTaskProtection"]
      UseKey        = ["kms:Decrypt", "kms:GenerateDataKey"]
    })
    error_message = "A worker may do something else than reading pages."
  }

  assert {
    condition = toset([for resource in flatten(module.workers[0].policy.Statement[*].Resource) : resource if strcontains(resource, "*")]) == toset([
      "arn:aws:ecs:eu-central-1:123456789012:task/quire-worker/*", "arn:aws:s3:::bucket/documents/*", "arn:aws:s3:::bucket/pages/*",
    ])
    error_message = "A resource has a wildcard that nothing justifies."
  }
}

run "the_container_writes_nowhere_and_ends_in_time" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.tmpfs[0].containerPath == "/tmp"
    error_message = "The container writes to its disk, or has no place for temporary files."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout == 120 && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].healthCheck.command == ["CMD", "quire", "alive"]
    error_message = "The worker is killed before it has drained, or nobody looks whether it lives."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].resourceRequirements == [{ type = "GPU", value = "1" }] && aws_ecs_task_definition.this.network_mode == "awsvpc"
    error_message = "A worker has no GPU of its own, or the instance's network."
  }

  assert {
    condition     = tonumber({ for entry in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : entry.name => entry.value }.QUIRE_AWS_CACHE_MB) + 512 <= jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.tmpfs[0].size
    error_message = "Beside the copies of documents there is no room for the largest one."
  }
}

run "no_container_gets_at_the_instance" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = one(aws_launch_template.this.metadata_options).http_tokens == "required" && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "A container could become the instance's role."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n") && startswith(base64decode(aws_launch_template.this.user_data), "#!/bin/bash\n") && strcontains(base64decode(aws_launch_template.this.user_data), "\nECS_AWSVPC_BLOCK_IMDS=true\n")
    error_message = "Spot ends workers without a warning, the script is none, or the metadata are open."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443 && aws_vpc_security_group_egress_rule.https.to_port == 443 && length(coalesce(aws_security_group.this.ingress, [])) == 0
    error_message = "Something else than HTTPS goes out, or something comes in."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Sid if contains(statement.Resource, "*")] == ["EnterRegistry"]
    error_message = "Only the registry's token knows no resource."
  }
}

run "workers_go_from_none_to_the_most_and_back" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = [aws_appautoscaling_target.this.min_capacity, aws_appautoscaling_target.this.max_capacity] == [0, 6] && [aws_autoscaling_group.this.min_size, aws_autoscaling_group.this.max_size] == [0, 6] && aws_ecs_service.this.desired_count == 0
    error_message = "Idle workers cost something, or there are more than were asked for."
  }

  assert {
    condition     = [for spread in one(aws_autoscaling_group.this.mixed_instances_policy).instances_distribution : [spread.on_demand_base_capacity, spread.on_demand_percentage_above_base_capacity]] == [[1, 30]]
    error_message = "The share of Spot is another."
  }

  assert {
    condition     = aws_autoscaling_group.this.protect_from_scale_in && one(aws_ecs_capacity_provider.this.auto_scaling_group_provider).managed_termination_protection == "ENABLED"
    error_message = "An instance could be ended under a worker."
  }

  # 1 for up to 100 pages, 2 for up to 300, 4 for more: as many as the pages ask for, at most a factor of two too few.
  assert {
    condition = toset([for step in one(aws_appautoscaling_policy.wake.step_scaling_policy_configuration).step_adjustment : [tonumber(step.metric_interval_lower_bound), try(tonumber(step.metric_interval_upper_bound), null), step.scaling_adjustment]]) == toset([
      [0, 100, 1], [100, 300, 2], [300, null, 4],
    ])
    error_message = "The steps leave a gap, or start more workers than pages ask for."
  }

  assert {
    condition     = one(aws_appautoscaling_policy.sleep.step_scaling_policy_configuration).adjustment_type == "ExactCapacity" && [for step in one(aws_appautoscaling_policy.sleep.step_scaling_policy_configuration).step_adjustment : step.scaling_adjustment] == [0]
    error_message = "Sleep leaves somebody awake."
  }

  assert {
    condition     = one(aws_appautoscaling_policy.follow.target_tracking_scaling_policy_configuration).target_value == 100
    error_message = "Workers follow another backlog."
  }
}

run "metrics_that_are_missing_never_change_the_number_of_workers" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.scaling : alarm.treat_missing_data == "notBreaching"])
    error_message = "Silence would be taken for a reason to act."
  }

  # Each metric an expression names is there, and each that is there is named.
  assert {
    condition = alltrue(flatten([for alarm in aws_cloudwatch_metric_alarm.scaling : [
      toset(flatten(regexall("\\b([a-z]+)\\b", join("", [for query in alarm.metric_query : query.expression if query.return_data == true])))) == toset([for query in alarm.metric_query : query.id if length(query.metric) > 0])
    ]]))
    error_message = "An expression and its metrics do not fit."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.scaling["sleep"].evaluation_periods == 10 && alltrue([for query in aws_cloudwatch_metric_alarm.scaling["sleep"].metric_query : one(query.metric).period == 60 if length(query.metric) > 0])
    error_message = "Workers go to sleep earlier or later than after ten minutes."
  }

  # What wakes must keep awake, or one alarm undoes what the other does.
  assert {
    condition     = length(setintersection(toset([for query in aws_cloudwatch_metric_alarm.scaling["wake"].metric_query : query.id]), toset(["visible", "queued"]))) == 2 && length(setintersection(toset([for query in aws_cloudwatch_metric_alarm.scaling["sleep"].metric_query : query.id]), toset(["visible", "queued", "flight", "delayed"]))) == 4
    error_message = "Something that wakes workers does not keep them awake."
  }
}

run "a_tag_that_may_change_is_refused" {
  command = plan

  variables {
    name              = "quire"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker:latest"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.worker_image]
}

run "workers_that_make_no_sense_are_refused" {
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

run "a_key_comes_from_where_secrets_are_kept_and_only_it_may_be_read" {
  module {
    source = "./modules/workers"
  }

  variables {
    secrets = { VLLM_API_KEY = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1" }
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "VLLM_API_KEY", valueFrom = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1" }]
    error_message = "The key does not reach the worker."
  }

  assert {
    condition     = jsonencode(jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[*].Resource) == jsonencode([["arn:aws:secretsmanager:eu-central-1:123456789012:secret:vllm-1"]])
    error_message = "It cannot be read, or others can."
  }
}

run "engines_that_are_no_json_are_refused" {
  command = plan

  variables {
    name    = "quire"
    engines = "{"
  }

  expect_failures = [var.engines]
}

run "doors_and_workers_go_by_the_same_engines" {
  variables {
    name              = "quire"
    engines           = "{ \"engines\": { \"pp-ocr@v6-small\": { \"kind\": \"pp-ocr\" } }, \"routes\": [] }"
    worker_image      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/quire-worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker_vpc_id     = "vpc-1"
    worker_subnet_ids = ["subnet-1"]
  }

  assert {
    condition     = local.environment.QUIRE_ENGINES == "{\"engines\":{\"pp-ocr@v6-small\":{\"kind\":\"pp-ocr\"}},\"routes\":[]}"
    error_message = "The functions and the workers would read with other engines."
  }

  assert {
    condition     = strcontains(output.environment, "export QUIRE_ENGINES='{\"engines\":{\"pp-ocr@v6-small\":{\"kind\":\"pp-ocr\"}},\"routes\":[]}'\n")
    error_message = "The command would list other engines than there are."
  }
}
