variable "name" {
  description = "Name of the cluster, the service and their resources."
  type        = string
}

variable "image" {
  description = "The worker's image, by digest."
  type        = string
}

variable "repository_arn" {
  description = "ARN of the repository of the image."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the workers."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the workers."
  type        = list(string)
}

variable "ami_id" {
  description = "AMI of the instances. Default: the newest ECS-optimized GPU AMI of AWS."
  type        = string
}

variable "instance_types" {
  description = "Types of the instances, each with at least one GPU and 16 GB of memory."
  type        = list(string)
}

variable "max" {
  description = "Maximum number of workers."
  type        = number
}

variable "backlog" {
  description = "Target number of queued pages per worker."
  type        = number
}

variable "spot" {
  description = "Number of on-demand instances before Spot instances are used, and the percentage of Spot among the others."
  type = object({
    on_demand_base = number
    percentage     = number
  })
}

variable "queue_name" {
  description = "Name of the queue of pages."
  type        = string
}

variable "metrics_namespace" {
  description = "CloudWatch namespace of PagesQueued."
  type        = string
}

variable "environment" {
  description = "Environment variables of the worker. Must not contain secrets."
  type        = map(string)
}

variable "secrets" {
  description = "ARNs of secrets or parameters, by environment variable."
  type        = map(string)
}

variable "permissions" {
  description = "Permissions in addition to using the key and scale-in protection."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = alltrue([for action in flatten(var.permissions[*].actions) : can(regex("^[a-z0-9]+:[A-Za-z]+$", action))])
    error_message = "Actions must be listed without wildcards (least privilege)."
  }

  validation {
    condition     = alltrue([for resource in flatten(var.permissions[*].resources) : can(regex("^[^*]+(/[*])?$", resource))])
    error_message = "Resources must be listed; only the part after the last slash may be *."
  }
}

variable "denials" {
  description = "What is denied whatever the permissions are: Sid, actions, resources, conditions by operator and key."
  type = list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = map(map(list(string)))
  }))
  default = []
}

variable "kms_key_arn" {
  description = "KMS key of the data and the log."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the log in days."
  type        = number
}
