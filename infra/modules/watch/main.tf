# Alarms, for what an operator has to do something about. The dashboard is for everything else.

locals {
  dead_queues = [for name in var.queue_names : name if endswith(name, "-dead")]

  # One metric over a threshold: in `periods` periods of `period` seconds, one after the other.
  single = merge(
    { for name, secs in var.oldest_message_secs : "oldest-${name}" => {
      description = "A message has waited in ${name} for more than ${secs} s."
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = "${var.name}-${name}" }
      stat        = "Maximum", threshold = secs, period = 60, periods = 5
    } },
    { for name in [var.failed_events_name] : "failed-events" => {
      description = "An upload's event or a sweep failed three times: its event lies in ${name}. Invoke the function again with it, then delete it."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = name }
      stat        = "Maximum", threshold = 0, period = 60, periods = 1
    } },
    { for metric, what in {
      DeadLetters        = "A dead letter was filed: see `quire dead-letters list`."
      CallbacksExhausted = "A customer could not be told: see `quire dead-letters list`, and redrive when the receiver is well."
      } : metric => {
      description = what
      namespace   = var.metrics_namespace, metric = metric, dimensions = {}
      stat        = "Sum", threshold = 0, period = 60, periods = 1
    } },
    { for name in var.function_names : "errors-${name}" => {
      description = "${name} ended with an error or ran out of time: its log says why."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = "${var.name}-${name}" }
      stat        = "Sum", threshold = 0, period = 300, periods = 1
    } },
    { for name in var.function_names : "throttles-${name}" => {
      description = "${name} was throttled for 15 minutes: the account's concurrency is used up."
      namespace   = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = "${var.name}-${name}" }
      stat        = "Sum", threshold = 0, period = 300, periods = 3
    } },
  )

  visible = { for name in var.queue_names : name => { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = "${var.name}-${name}" }, stat = "Maximum" } }
  flight  = { for name in var.queue_names : name => { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesNotVisible", dimensions = { QueueName = "${var.name}-${name}" }, stat = "Maximum" } }
  counted = { for metric in ["PagesTakenUp", "PagesRetried"] : metric => { namespace = var.metrics_namespace, metric = metric, dimensions = {}, stat = "Sum" } }

  # An expression over a threshold. A counter that nobody has counted up is missing: FILL makes it the 0 that it is.
  computed = merge(
    { for name in local.dead_queues : "anything-in-${name}" => {
      description = "Something is in ${name}. It is filed within seconds; what stays is what dead-letter fails at."
      expression  = "FILL(visible, 0) + FILL(flight, 0)"
      metrics     = { visible = local.visible[name], flight = local.flight[name] }
      threshold   = 0, period = 60, periods = 1
    } },
    {
      retry-rate = {
        description = "More than 5 % of the pages taken up in 15 minutes were taken up before: workers die, or their leases run out."
        # A handful of pages says nothing: one retry among ten is bad luck.
        expression = "IF(taken >= 50, 100 * FILL(retried, 0) / taken, 0)"
        metrics    = { taken = local.counted.PagesTakenUp, retried = local.counted.PagesRetried }
        threshold  = 5, period = 900, periods = 1
      }
      nobody-works = {
        description = "Pages have waited for 15 minutes, and nobody took up any: no worker runs, or none of them can work."
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
