variable "name" {
  description = "Name of the queue."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.name))
    error_message = "name must have 1 to 80 letters, digits, - or _."
  }
}

variable "settings" {
  description = "Visibility timeout in seconds, and maximum receives before a message moves to the dead-letter queue (default: unlimited)."
  type = object({
    lease_secs   = number
    max_receives = optional(number)
  })

  validation {
    condition     = var.settings.lease_secs >= 1 && var.settings.lease_secs <= 43200
    error_message = "lease_secs must be between 1 and 43200: the maximum visibility timeout of SQS is 12 hours."
  }

  validation {
    condition = (
      var.settings.max_receives == null ||
      try(var.settings.max_receives >= 1 && var.settings.max_receives <= 1000, false)
    )
    error_message = "max_receives must be between 1 and 1000."
  }
}

variable "dead_letters_to" {
  description = "ARN of its dead-letter queue. Required with max_receives."
  type        = string
  default     = null
}

variable "dead_letters_from" {
  description = "For a dead-letter queue: name of its source queue."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "KMS key that encrypts messages."
  type        = string
}
