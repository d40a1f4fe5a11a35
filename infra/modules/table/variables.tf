variable "name" {
  description = "Name of the table."
  type        = string
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the table."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the table cannot be deleted."
  type        = bool
}

variable "recovery_days" {
  description = "Days for which the table can be restored to any point in time."
  type        = number
}
