variable "name" {
  description = "Name of the cluster, the service and what belongs to them."
  type        = string
}

variable "image" {
  description = "The worker's image, by digest."
  type        = string
}

variable "repository_arn" {
  description = "The registry's repository that the image is in."
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
  description = "Machine image of the instances; null is AWS's newest for ECS with GPUs."
  type        = string
}

variable "instance_types" {
  description = "Types of the instances, each with one GPU or more and at least 16 GB."
  type        = list(string)
}

variable "max" {
  description = "The most workers at once."
  type        = number
}

variable "backlog" {
  description = "How many pages may wait for each worker."
  type        = number
}

variable "spot" {
  description = "Instances on demand before any is Spot, and the percentage of Spot among the others."
  type = object({
    on_demand_base = number
    percentage     = number
  })
}

variable "queue_name" {
  description = "The queue of the pages."
  type        = string
}

variable "metrics_namespace" {
  description = "Where the functions count PagesQueued."
  type        = string
}

variable "environment" {
  description = "The worker's environment. Nothing secret."
  type        = map(string)
}

variable "secrets" {
  description = "What its environment gets from elsewhere: ARNs of secrets or parameters, by variable."
  type        = map(string)
}

variable "permissions" {
  description = "What a worker may do, beside using the key and protecting itself."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = alltrue([for action in flatten(var.permissions[*].actions) : can(regex("^[a-z0-9]+:[A-Za-z]+$", action))])
    error_message = "Actions are named one by one, without *."
  }

  validation {
    condition     = alltrue([for resource in flatten(var.permissions[*].resources) : can(regex("^[^*]+(/[*])?$", resource))])
    error_message = "Resources are named; only what is after a last slash may be *."
  }
}

variable "kms_key_arn" {
  description = "The key of everything that a worker reads and writes, and of its log."
  type        = string
}

variable "log_retention_days" {
  description = "How long its log is kept."
  type        = number
}
