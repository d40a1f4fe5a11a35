variable "name" {
  description = "The queue's name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.name))
    error_message = "name must be 1 to 80 letters, digits, - or _."
  }
}

variable "settings" {
  description = "How long a received message stays hidden, and how often it is received before it is a dead letter (null: for ever)."
  type = object({
    lease_secs   = number
    max_receives = optional(number)
  })

  validation {
    condition     = var.settings.lease_secs >= 1 && var.settings.lease_secs <= 43200
    error_message = "lease_secs must be from 1 to 43200: SQS hides a message for 12 hours at most."
  }

  validation {
    condition     = var.settings.max_receives == null || try(var.settings.max_receives >= 1 && var.settings.max_receives <= 1000, false)
    error_message = "max_receives must be from 1 to 1000."
  }
}

variable "dead_letters_to" {
  description = "ARN of the queue that its dead letters go to. Null where max_receives is."
  type        = string
  default     = null
}

variable "dead_letters_from" {
  description = "Name of the one queue whose dead letters it takes. Null where it takes none."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The key that messages are encrypted with."
  type        = string
}
