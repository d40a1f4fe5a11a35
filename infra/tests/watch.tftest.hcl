# The alarms and the dashboard.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "quire"
  queue_names        = ["callbacks", "callbacks-dead", "documents", "documents-dead", "pages", "pages-dead"]
  failed_events_name = "quire-failed-events"
  function_names     = ["notifier", "submit-api"]
  table_name         = "quire"
  api_id             = "abcdefghij"
  metrics_namespace  = "Quire/quire"
  alarm_topics       = ["arn:aws:sns:eu-central-1:123456789012:ops"]
}

run "all_alarms_exist_and_notify_the_topics" {
  module {
    source = "./modules/watch"
  }

  assert {
    condition = sort(keys(output.alarms)) == sort([for name in [
      "oldest-callbacks", "oldest-documents", "oldest-pages", "anything-in-callbacks-dead", "anything-in-documents-dead", "anything-in-pages-dead",
      "DeadLetters", "CallbacksExhausted", "failed-events", "retry-rate", "nobody-works",
      "errors-notifier", "errors-submit-api", "throttles-notifier", "throttles-submit-api",
    ] : "quire-${name}"])
    error_message = "There must be exactly these alarms."
  }

  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.single, aws_cloudwatch_metric_alarm.computed) : alarm.alarm_actions == toset(var.alarm_topics) && alarm.treat_missing_data == "notBreaching" && alarm.comparison_operator == "GreaterThanThreshold"])
    error_message = "Each alarm must notify the topics, and missing data must not breach."
  }
}

run "more_than_five_percent_retries_within_15_minutes_alarm" {
  module {
    source = "./modules/watch"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.computed["retry-rate"].threshold == 5 && alltrue([for query in aws_cloudwatch_metric_alarm.computed["retry-rate"].metric_query : one(query.metric).period == 900 && one(query.metric).stat == "Sum" && one(query.metric).namespace == "Quire/quire" if length(query.metric) > 0])
    error_message = "The retry rate must have this threshold and period."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.computed["nobody-works"].evaluation_periods == 15
    error_message = "The alarm for idle queues must have these periods."
  }
}

run "expressions_use_exactly_their_metrics" {
  module {
    source = "./modules/watch"
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.computed :
      toset(flatten(regexall("\\b([a-z]+)\\b", join("", [for query in alarm.metric_query : query.expression if query.return_data == true])))) == toset([for query in alarm.metric_query : query.id if length(query.metric) > 0])
    ])
    error_message = "An expression must use exactly its metrics."
  }

  assert {
    condition = alltrue(flatten([
      [for alarm in aws_cloudwatch_metric_alarm.single : [for name in values(alarm.dimensions) : startswith(name, "quire-")]],
      [for alarm in aws_cloudwatch_metric_alarm.computed : [for query in alarm.metric_query : [for metric in query.metric : [for name in values(coalesce(metric.dimensions, {})) : startswith(name, "quire-")]]]],
    ]))
    error_message = "Alarms must use the names of this deployment."
  }
}

run "the_charts_of_the_dashboard_do_not_overlap" {
  module {
    source = "./modules/watch"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 10 && length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [widget.x, widget.y]])) == 10 && alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(widget.properties.metrics) > 0])
    error_message = "Charts must not overlap or be empty."
  }
}
