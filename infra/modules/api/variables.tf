variable "name" {
  description = "Name of the API."
  type        = string
}

variable "function_invoke_arn" {
  description = "Invoke ARN of the function that handles requests."
  type        = string
}

variable "calls" {
  description = "Routes, e.g. `GET /task/{task_id}`, and whether each is public."
  type        = map(bool)
}

variable "authorization" {
  description = "Authorization of routes that are not public: AWS_IAM, JWT, or NONE if the function authenticates."
  type        = string
}

variable "jwt" {
  description = "Issuer and audiences, if authorization is JWT."
  type = object({
    issuer   = string
    audience = list(string)
  })
}

variable "throttling" {
  description = "Rate limit: requests per second, and burst."
  type = object({
    rate  = number
    burst = number
  })
}

variable "kms_key_arn" {
  description = "KMS key of the access log."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the access log in days."
  type        = number
}
