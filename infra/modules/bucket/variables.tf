variable "name" {
  description = "The bucket's name, which nobody else in the world may have."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 63 of a-z, 0-9 and -."
  }
}

variable "kms_key_arn" {
  description = "The key that objects are encrypted with."
  type        = string
}

variable "deletion_protection" {
  description = "Whether a bucket with something in it refuses to be deleted."
  type        = bool
}
