variable "name" {
  description = "The API's name."
  type        = string
}

variable "function_invoke_arn" {
  description = "The function that answers."
  type        = string
}

variable "authorization" {
  description = "AWS_IAM, JWT or NONE, for all routes but GET /healthz."
  type        = string
}

variable "jwt" {
  description = "Issuer and audiences, where authorization is JWT."
  type = object({
    issuer   = string
    audience = list(string)
  })
}

variable "throttling" {
  description = "Requests a second, and at once."
  type = object({
    rate  = number
    burst = number
  })
}

variable "kms_key_arn" {
  description = "The key of the access log."
  type        = string
}

variable "log_retention_days" {
  description = "How long the access log is kept."
  type        = number
}
