variable "name" {
  description = "Name of the function and of its role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "name must have 1 to 64 letters, digits, - or _."
  }
}

variable "description" {
  description = "What the function does, in one line."
  type        = string
}

variable "zip" {
  description = "Path of the zip with the bootstrap program."
  type        = string

  validation {
    condition     = fileexists(var.zip)
    error_message = "${var.zip} does not exist: run `cargo run -p quire-package`, or set the variable zips."
  }
}

variable "timeout_secs" {
  description = "Timeout of an invocation in seconds."
  type        = number

  validation {
    condition     = var.timeout_secs >= 1 && var.timeout_secs <= 900
    error_message = "timeout_secs must be between 1 and 900."
  }
}

variable "memory_mb" {
  description = "Memory in MB. 1769 MB is equivalent to one vCPU."
  type        = number
  default     = 256

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must be between 128 and 10240."
  }
}

variable "storage_mb" {
  description = "Size of /tmp in MB; 512 MB are free."
  type        = number
  default     = 512

  validation {
    condition     = var.storage_mb >= 512 && var.storage_mb <= 10240
    error_message = "storage_mb must be between 512 and 10240."
  }
}

variable "environment" {
  description = "Environment variables. Must not contain secrets."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "KMS key of the data, the log and the environment variables."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the log in days."
  type        = number
}

variable "permissions" {
  description = "Permissions in addition to consuming its queues, using the key and writing its log."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = alltrue([for action in flatten(var.permissions[*].actions) : can(regex("^[a-z0-9]+:[A-Za-z]+$", action))])
    error_message = "Actions must be listed without wildcards (least privilege)."
  }

  validation {
    condition     = alltrue([for resource in flatten(var.permissions[*].resources) : can(regex("^[^*]+(/[*])?$", resource))])
    error_message = "Resources must be listed; only the part after the last slash may be *."
  }
}

variable "denials" {
  description = "What is denied whatever the permissions are: Sid, actions, resources, conditions by operator and key."
  type = list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = map(map(list(string)))
  }))
  default = []
}

variable "queues" {
  description = "Queues that trigger the function: ARN, visibility timeout, batch size, maximum concurrency."
  type = map(object({
    arn         = string
    lease_secs  = number
    batch_size  = number
    concurrency = number
  }))
  default = {}
}

variable "callers" {
  description = "Other triggers: the service that invokes the function, and its resource."
  type = map(object({
    principal      = string
    source_arn     = string
    source_account = optional(string)
  }))
  default = {}
}

variable "failed_events_queue" {
  description = "Failure destination of asynchronous invocations. Default: none."
  type = object({
    arn = string
  })
  default = null
}
