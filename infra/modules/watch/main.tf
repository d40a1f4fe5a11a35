# Alarms that require action by an operator. Everything else is on the dashboard.

locals {
  dead_queues = [for name in var.queue_names : name if endswith(name, "-dead")]

  # Alarms on one metric that exceeds a threshold in `periods` consecutive periods of `period` seconds.
  single = merge(
    { for name, secs in var.oldest_message_secs : "oldest-${name}" => {
      description = "The oldest message in ${name} is older than ${secs} s."
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = "${var.name}-${name}" }
      stat        = "Maximum", threshold = secs, period = 60, periods = 5
    } },
    { for name in [var.failed_events_name] : "failed-events" => {
      description = "An upload event or a sweep failed three times: the event is in ${name}. Invoke the function again with it, then delete it."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = name }
      stat        = "Maximum", threshold = 0, period = 60, periods = 1
    } },
    { for metric, description in {
      DeadLetters        = "A dead letter was filed: see `quire dead-letters list`."
      CallbacksExhausted = "A callback exhausted its attempts: see `quire dead-letters list`, and redrive it when the endpoint works again."
      } : metric => {
      description = description
      namespace   = var.metrics_namespace, metric = metric, dimensions = {}
      stat        = "Sum", threshold = 0, period = 60, periods = 1
    } },
    { for name in var.function_names : "errors-${name}" => {
      description = "${name} failed or timed out: see its log."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = "${var.name}-${name}" }
      stat        = "Sum", threshold = 0, period = 300, periods = 1
    } },
    { for name in var.function_names : "throttles-${name}" => {
      description = "${name} was throttled for 15 minutes: the account's concurrency limit is reached."
      namespace   = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = "${var.name}-${name}" }
      stat        = "Sum", threshold = 0, period = 300, periods = 3
    } },
  )

  visible = { for name in var.queue_names : name => {
    namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", stat = "Maximum"
    dimensions = { QueueName = "${var.name}-${name}" }
  } }
  flight = { for name in var.queue_names : name => {
    namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesNotVisible", stat = "Maximum"
    dimensions = { QueueName = "${var.name}-${name}" }
  } }
  counted = { for metric in ["PagesTakenUp", "PagesRetried"] : metric => {
    namespace = var.metrics_namespace, metric = metric, dimensions = {}, stat = "Sum"
  } }

  # Alarms on an expression that exceeds a threshold. A counter without data points is missing; FILL makes it 0.
  computed = merge(
    { for name in local.dead_queues : "anything-in-${name}" => {
      description = "Messages stay in ${name}: the function dead-letter fails to file them, which normally takes seconds."
      expression  = "FILL(visible, 0) + FILL(flight, 0)"
      metrics     = { visible = local.visible[name], flight = local.flight[name] }
      threshold   = 0, period = 60, periods = 1
    } },
    {
      retry-rate = {
        description = "More than 5 % of the pages received in 15 minutes were retries: workers crash, or visibility timeouts expire."
        # Needs at least 50 pages: a single retry among few pages is not significant.
        expression = "IF(taken >= 50, 100 * FILL(retried, 0) / taken, 0)"
        metrics    = { taken = local.counted.PagesTakenUp, retried = local.counted.PagesRetried }
        threshold  = 5, period = 900, periods = 1
      }
      nobody-works = {
        description = "Pages have been queued for 15 minutes and no worker received any: no worker runs, or none works."
        expression  = "IF(FILL(taken, 0) == 0, FILL(visible, 0), 0)"
        metrics     = { taken = local.counted.PagesTakenUp, visible = local.visible.pages }
        threshold   = 0, period = 60, periods = 15
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "single" {
  for_each = local.single

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.stat
  period              = each.value.period
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics
}

resource "aws_cloudwatch_metric_alarm" "computed" {
  for_each = local.computed

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics

  metric_query {
    id          = "value"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = each.value.period
      }
    }
  }
}
