variable "name" {
  description = "The table's name."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that it is encrypted with."
  type        = string
}

variable "deletion_protection" {
  description = "Whether it refuses to be deleted."
  type        = bool
}
