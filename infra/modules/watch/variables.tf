variable "name" {
  description = "What the names of alarms, queues and functions begin with, and the dashboard's name."
  type        = string
}

variable "queue_names" {
  description = "The queues, without what their names begin with. Those that end with -dead hold dead letters."
  type        = list(string)
}

variable "failed_events_name" {
  description = "The queue of the events that a function could not deal with, by its whole name."
  type        = string
}

variable "function_names" {
  description = "The functions, without what their names begin with."
  type        = list(string)
}

variable "table_name" {
  description = "The task table."
  type        = string
}

variable "api_id" {
  description = "The HTTP API."
  type        = string
}

variable "metrics_namespace" {
  description = "Where functions and workers count."
  type        = string
}

variable "alarm_topics" {
  description = "Where alarms go."
  type        = list(string)
}

variable "oldest_message_secs" {
  description = "How long a message may wait, by queue."
  type        = map(number)
  default = {
    # One for an upload that does not come waits for 15 minutes, and is looked at again every ten.
    documents = 5400
    # GPU instances take minutes to start.
    pages = 1800
    # Three retries within half a minute, or one more after a crash and its lease of six minutes.
    callbacks = 900
  }
}
