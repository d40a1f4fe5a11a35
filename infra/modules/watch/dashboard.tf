data "aws_region" "current" {}

locals {
  page_metrics     = ["PagesQueued", "PagesTakenUp", "PagesRetried", "PagesSucceeded", "PagesFailed"]
  callback_metrics = ["CallbacksDelivered", "CallbacksExhausted", "DeadLetters"]
  quire_metrics = {
    for metric in concat(local.page_metrics, local.callback_metrics) :
    metric => [var.metrics_namespace, metric, { stat = "Sum" }]
  }
  workers = ["ClusterName", "${var.name}-worker", "ServiceName", "${var.name}-worker"]

  # The charts, in rows of two.
  charts = [
    { title = "Pages", metrics = [for metric in local.page_metrics : local.quire_metrics[metric]] },
    { title = "Workers", metrics = [
      concat(["ECS/ContainerInsights", "DesiredTaskCount"], local.workers),
      concat(["ECS/ContainerInsights", "RunningTaskCount"], local.workers),
    ] },
    { title = "Visible messages", metrics = [for name in var.queue_names : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${var.name}-${name}", { stat = "Maximum" }]] },
    { title = "Age of the oldest message, s", metrics = [for name in var.queue_names : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${var.name}-${name}", { stat = "Maximum" }]] },
    { title = "Callbacks and dead letters", metrics = [for metric in local.callback_metrics : local.quire_metrics[metric]] },
    { title = "API: requests and errors", metrics = [for metric in ["Count", "4xx", "5xx"] : ["AWS/ApiGateway", metric, "ApiId", var.api_id, { stat = "Sum" }]] },
    { title = "API: latency, ms", metrics = [for stat in ["p50", "p99"] : ["AWS/ApiGateway", "Latency", "ApiId", var.api_id, { stat = stat, label = stat }]] },
    { title = "Functions: maximum duration, ms", metrics = [for name in var.function_names : ["AWS/Lambda", "Duration", "FunctionName", "${var.name}-${name}", { stat = "Maximum" }]] },
    { title = "Functions: errors and throttles", metrics = concat(
      [for name in var.function_names : ["AWS/Lambda", "Errors", "FunctionName", "${var.name}-${name}", { stat = "Sum" }]],
      [for name in var.function_names : ["AWS/Lambda", "Throttles", "FunctionName", "${var.name}-${name}", { stat = "Sum" }]],
    ) },
    { title = "Table: throttled requests", metrics = [for operation in ["BatchGetItem", "Query", "TransactWriteItems"] : ["AWS/DynamoDB", "ThrottledRequests", "TableName", var.table_name, "Operation", operation, { stat = "Sum" }]] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, chart in local.charts : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = chart.title
        region  = data.aws_region.current.id
        period  = 60
        metrics = chart.metrics
      }
    }]
  })
}
