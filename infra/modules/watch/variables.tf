variable "name" {
  description = "Prefix of the names of alarms, queues and functions, and name of the dashboard."
  type        = string
}

variable "queue_names" {
  description = "Names of the queues without prefix. Those with the suffix -dead are dead-letter queues."
  type        = list(string)
}

variable "failed_events_name" {
  description = "Full name of the failure destination of asynchronous invocations."
  type        = string
}

variable "function_names" {
  description = "Names of the functions without prefix."
  type        = list(string)
}

variable "table_name" {
  description = "Name of the task table."
  type        = string
}

variable "api_id" {
  description = "Id of the HTTP API."
  type        = string
}

variable "metrics_namespace" {
  description = "CloudWatch namespace of the metrics of functions and workers."
  type        = string
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics for alarms."
  type        = list(string)
}

variable "oldest_message_secs" {
  description = "Maximum age of the oldest message in seconds, by queue."
  type        = map(number)
  default = {
    # The message of an announced upload that never arrives is delayed by 15 minutes, and retried every ten.
    documents = 5400
    # GPU instances need minutes to start.
    pages = 1800
    # Three retries within half a minute, or another after a crash and a visibility timeout of six minutes.
    callbacks = 900
  }
}
