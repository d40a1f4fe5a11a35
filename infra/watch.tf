module "watch" {
  source = "./modules/watch"

  name               = var.name
  queue_names        = sort(keys(local.queues))
  failed_events_name = module.failed_events.name
  function_names     = ["dead-letter", "notifier", "submit-api", "submit-ingest", "submit-sweep", "submit-upload"]
  table_name         = module.table.name
  api_id             = module.api.id
  metrics_namespace  = local.metrics
  alarm_topics       = var.alarm_topics
}
