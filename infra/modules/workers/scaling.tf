# Scales from 0 to var.max workers and back. Three policies:
#
# wake    no worker runs and pages are queued → scale out in steps by the number of pages follow  pages per running
# worker            → target tracking in both directions sleep   no pages for ten minutes            → scale in to 0
#
# Metrics are often missing, so each expression handles missing data:
# - SQS sends no metrics for a queue that was inactive for six hours, and up to 15 minutes after it becomes active
# again. So the functions count the pages they send (PagesQueued), which is available within a minute.
# - The newest minute is often late. FILL(…, REPEAT) repeats the last known value: otherwise busy workers would count as
# 0. The outer FILL is for metrics that have been missing for a long time: a missing count of workers means 0, but a
# missing count of pages never does.

locals {
  queue   = { QueueName = var.queue_name }
  service = { ClusterName = aws_ecs_cluster.this.name, ServiceName = aws_ecs_service.this.name }

  sources = {
    visible = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = local.queue }
    flight  = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesNotVisible", stat = "Maximum", dimensions = local.queue }
    delayed = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesDelayed", stat = "Maximum", dimensions = local.queue }
    running = { namespace = "ECS/ContainerInsights", name = "RunningTaskCount", stat = "Maximum", dimensions = local.service }
    queued  = { namespace = var.metrics_namespace, name = "PagesQueued", stat = "Sum", dimensions = {} }
  }

  # Powers of two, so that one alarm can start few workers or many.
  wake_steps = [for step in range(0, 11) : pow(2, step) if pow(2, step) <= var.max]

  alarms = {
    wake = {
      description = "Pages are queued and no worker runs: start workers."
      # The maximum, not the sum: SQS soon counts the sent pages among the visible ones.
      expression = "IF(FILL(FILL(running, REPEAT), 0) < 1, IF(FILL(visible, 0) > FILL(queued, 0), FILL(visible, 0), FILL(queued, 0)), 0)"
      sources    = ["running", "visible", "queued"]
      comparison = "GreaterThanThreshold"
      # One period is enough: a surplus worker is scaled in again.
      minutes = 1
    }
    sleep = {
      description = "No pages visible, in flight, delayed or sent for ten minutes: stop all workers."
      # Includes sent pages, which SQS does not count yet: otherwise this would revert what wake does.
      expression = "FILL(FILL(visible, REPEAT), 1) + FILL(FILL(flight, REPEAT), 1) + FILL(FILL(delayed, REPEAT), 0) + FILL(queued, 0)"
      sources    = ["visible", "flight", "delayed", "queued"]
      comparison = "LessThanOrEqualToThreshold"
      minutes    = 10
    }
  }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  min_capacity       = 0
  max_capacity       = var.max
}

# Scales in both directions: workers with pages in flight have scale-in protection, and idle ones are stopped. Pages in
# flight count, so that workers which read the last pages are still needed.
resource "aws_appautoscaling_policy" "follow" {
  name               = "${var.name}-follow"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value = var.backlog
    # A new worker needs minutes to start: it must count before another one is started.
    scale_out_cooldown = 300
    scale_in_cooldown  = 300

    customized_metric_specification {
      dynamic "metrics" {
        for_each = { for id in ["flight", "running", "visible"] : id => local.sources[id] }

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            stat = metrics.value.stat

            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.name

              dynamic "dimensions" {
                for_each = metrics.value.dimensions

                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }

      # Undefined without running workers: then only wake applies.
      metrics {
        id          = "backlog"
        label       = "Pages queued or in flight per worker"
        expression  = "(visible + flight) / running"
        return_data = true
      }
    }
  }
}

resource "aws_appautoscaling_policy" "wake" {
  name               = "${var.name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    # The alarm lasts until a worker runs: the instance must boot and pull the image. During the cooldown, requested
    # workers count as running.
    cooldown = 900

    dynamic "step_adjustment" {
      for_each = local.wake_steps

      content {
        metric_interval_lower_bound = step_adjustment.value == 1 ? 0 : (step_adjustment.value - 1) * var.backlog
        metric_interval_upper_bound = step_adjustment.value == local.wake_steps[length(local.wake_steps) - 1] ? null : (2 * step_adjustment.value - 1) * var.backlog
        scaling_adjustment          = step_adjustment.value
      }
    }
  }
}

resource "aws_appautoscaling_policy" "sleep" {
  name               = "${var.name}-sleep"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 60

    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "scaling" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = each.value.comparison
  evaluation_periods  = each.value.minutes
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [each.key == "wake" ? aws_appautoscaling_policy.wake.arn : aws_appautoscaling_policy.sleep.arn]

  metric_query {
    id          = "need"
    expression  = each.value.expression
    label       = each.value.description
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { for id in each.value.sources : id => local.sources[id] }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = 60
      }
    }
  }
}
