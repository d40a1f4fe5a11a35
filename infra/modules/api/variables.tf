variable "name" {
  description = "The API's name."
  type        = string
}

variable "function_invoke_arn" {
  description = "The function that answers."
  type        = string
}

variable "calls" {
  description = "The calls that it takes, as `GET /task/{task_id}`, and whether each is for everybody."
  type        = map(bool)
}

variable "authorization" {
  description = "AWS_IAM, JWT or NONE, for the calls that are not for everybody. With NONE the function checks who calls."
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
