# From none to var.max workers and back. Three policies:
#
#   wake    nobody runs and pages wait          → at once as many as the pages ask for
#   follow  pages per running worker            → more, and after a while fewer
#   sleep   nothing there for ten minutes       → none
#
# Metrics are missing more often than one thinks, so each expression says what that means:
# - SQS tells nothing about a queue that nobody has used for six hours, and up to 15 minutes more after somebody does.
#   So the functions count what they send (PagesQueued), which is there within the minute.
# - The newest minute is often late. FILL(…, REPEAT) takes the last value known for it: otherwise busy workers would count
#   as none. The FILL around it is for what has been missing for a long time: no count of workers means none, and no
#   count of pages never means that there are none.

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

  # Doubling, so that one alarm can start few workers or many.
  wake_steps = [for step in range(0, 11) : pow(2, step) if pow(2, step) <= var.max]

  alarms = {
    wake = {
      description = "Pages wait and nobody runs: start workers."
      # The pages that were just sent are among the visible ones as soon as SQS counts them: the larger, not the sum.
      expression = "IF(FILL(FILL(running, REPEAT), 0) < 1, IF(FILL(visible, 0) > FILL(queued, 0), FILL(visible, 0), FILL(queued, 0)), 0)"
      sources    = ["running", "visible", "queued"]
      comparison = "GreaterThanThreshold"
      # Looking once is enough: a worker too many is scaled in again.
      minutes = 1
    }
    sleep = {
      description = "Nothing visible, in flight or delayed, and nothing sent, for ten minutes: stop all workers."
      # What was just sent keeps them awake before SQS counts it, or this would undo what wake does.
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

# Down as well as up: a worker that holds pages has protected itself, and one that was woken for nothing goes again.
# Pages in flight count, so that a few workers reading the last pages are never taken for none needed.
resource "aws_appautoscaling_policy" "follow" {
  name               = "${var.name}-follow"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value = var.backlog
    # A new worker needs minutes to start: it is counted before a further one is asked for.
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

      # By none there is no quotient, and nothing to follow: that is for wake.
      metrics {
        id          = "backlog"
        label       = "Pages waiting or being read, for each worker"
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
    # The alarm goes on until a worker runs: an instance that boots and pulls the image. Until then, what was asked for
    # counts as there.
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
