variable "name" {
  description = "The function's name, and its role's."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, - or _."
  }
}

variable "description" {
  description = "What it does, in one line."
  type        = string
}

variable "zip" {
  description = "The zip with its bootstrap."
  type        = string

  validation {
    condition     = fileexists(var.zip)
    error_message = "There is no ${var.zip}: make the zips with `cargo run -p quire-package`, or say where they are (variable zips)."
  }
}

variable "timeout_secs" {
  description = "How long an invocation may take."
  type        = number

  validation {
    condition     = var.timeout_secs >= 1 && var.timeout_secs <= 900
    error_message = "timeout_secs must be from 1 to 900."
  }
}

variable "memory_mb" {
  description = "Its memory. A whole CPU comes with 1769 MB."
  type        = number
  default     = 256

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must be from 128 to 10240."
  }
}

variable "storage_mb" {
  description = "The size of its /tmp; 512 are free of charge."
  type        = number
  default     = 512

  validation {
    condition     = var.storage_mb >= 512 && var.storage_mb <= 10240
    error_message = "storage_mb must be from 512 to 10240."
  }
}

variable "environment" {
  description = "Its environment. Nothing secret."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "The key of everything that it reads and writes, its log and its environment."
  type        = string
}

variable "log_retention_days" {
  description = "How long its log is kept."
  type        = number
}

variable "permissions" {
  description = "What it may do, beside consuming its queues, using the key and writing its log."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = alltrue([for action in flatten(var.permissions[*].actions) : can(regex("^[a-z0-9]+:[A-Za-z]+$", action))])
    error_message = "Actions are named one by one, without *."
  }

  validation {
    condition     = alltrue([for resource in flatten(var.permissions[*].resources) : can(regex("^[^*]+(/[*])?$", resource))])
    error_message = "Resources are named; only what is after a last slash may be *."
  }
}

variable "queues" {
  description = "Queues that feed it, by a name for each: ARN and lease of the queue, messages an invocation, invocations at once."
  type = map(object({
    arn         = string
    lease_secs  = number
    batch_size  = number
    concurrency = number
  }))
  default = {}
}

variable "callers" {
  description = "What else may invoke it, by a name for each: the service, and the one resource there."
  type = map(object({
    principal      = string
    source_arn     = string
    source_account = optional(string)
  }))
  default = {}
}

variable "failed_events_queue" {
  description = "For one that is invoked without anybody waiting: the queue for what fails. Null for others."
  type = object({
    arn = string
  })
  default = null
}
