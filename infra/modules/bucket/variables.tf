variable "name" {
  description = "Name of the bucket; globally unique."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 63 characters a-z, 0-9 and -."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts objects."
  type        = string
}

variable "deletion_protection" {
  description = "Whether a non-empty bucket cannot be deleted."
  type        = bool
}
