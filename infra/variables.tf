variable "name" {
  description = "Prefix of all names. Must be unique per account and region."
  type        = string
  default     = "quire"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 21 characters a-z, 0-9 and -, start with a letter and not end with -."
  }
}

variable "region" {
  description = "AWS region. Default: the environment variable AWS_REGION."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, e.g. eu-central-1."
  }
}

variable "emulator" {
  description = "Whether AWS_ENDPOINT_URL is an emulator: uses path-style S3, and permits plain HTTP and private addresses in callback_url and image_url."
  type        = bool
  default     = false
}

variable "zips" {
  description = "Folder with the functions' zips. Default: build/ in this folder, the output of `cargo run -p quire-package`."
  type        = string
  default     = null

  validation {
    condition     = var.zips == null || can(regex("[^/]$", var.zips))
    error_message = "zips must be a folder without a trailing slash."
  }
}

variable "log_retention_days" {
  description = "Retention of logs in days."
  type        = number
  default     = 365

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ], var.log_retention_days)
    error_message = "log_retention_days must be a retention of CloudWatch Logs, e.g. 1, 7, 30, 90, 365, 731 or 3653."
  }
}

variable "deletion_protection" {
  description = "Deletion protection: the table and a non-empty bucket or repository cannot be deleted; the key and the secret are deleted after 30 days."
  type        = bool
  default     = true
}

variable "table_recovery_days" {
  description = "Days for which the task table can be restored to any point in time, and thus for which file names, tags and URLs of deleted tasks remain in its backup: 1 to 35."
  type        = number
  default     = 7

  validation {
    condition     = contains(range(1, 36), var.table_recovery_days)
    error_message = "table_recovery_days must be a whole number from 1 to 35."
  }
}

variable "authorization" {
  description = "Authentication of the API: KEYS (Quire's API keys, one tenant each, see `quire keys`); or as a single tenant AWS_IAM (signed requests of principals with execute-api:Invoke), JWT (see jwt) or, on an emulator only, NONE."
  type        = string
  default     = "KEYS"

  validation {
    condition     = contains(["KEYS", "AWS_IAM", "JWT", "NONE"], var.authorization)
    error_message = "authorization must be KEYS, AWS_IAM, JWT or NONE."
  }

  validation {
    condition     = var.authorization != "NONE" || var.emulator
    error_message = "authorization NONE is for emulators only: on AWS the API would be public."
  }

  validation {
    condition     = (var.authorization == "JWT") == (var.jwt != null)
    error_message = "jwt (issuer and audience) must be set if and only if authorization is JWT."
  }
}

variable "jwt" {
  description = "The issuer URL and the audiences of accepted tokens, if authorization is JWT."
  type = object({
    issuer   = string
    audience = list(string)
  })
  default = null

  validation {
    condition     = var.jwt == null || try(startswith(var.jwt.issuer, "https://") && length(var.jwt.audience) > 0, false)
    error_message = "jwt must have an issuer that starts with https:// and at least one audience."
  }
}

variable "throttling" {
  description = "Rate limit of the API: requests per second, and burst."
  type = object({
    rate  = number
    burst = number
  })
  default = { rate = 100, burst = 200 }

  validation {
    condition     = var.throttling.rate >= 1 && var.throttling.burst >= 1
    error_message = "throttling must have a rate and a burst of at least 1."
  }
}

variable "public_url" {
  description = "Base URL of status_url, for a custom domain in front of the API. Default: the URL of the API."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null || can(regex("^https?://[^/]+(/.*[^/])?$", var.public_url))
    error_message = "public_url must start with https:// (or http://) and have no trailing slash."
  }
}

variable "inbox_callback_url" {
  description = "Callback URL for documents that are put into the bucket's inbox/. Default: no callback."
  type        = string
  default     = null

  validation {
    condition     = var.inbox_callback_url == null || can(regex("^https://", var.inbox_callback_url)) || var.emulator
    error_message = "inbox_callback_url must start with https://."
  }
}

variable "callback_schedule" {
  description = "Backoff between the attempts of a callback, e.g. 5s,5m,30m,2h,5h,10h,10h. Default: 1s,5s,15s."
  type        = string
  default     = null

  validation {
    condition     = var.callback_schedule == null || can(regex("^[0-9]+[smh](,[0-9]+[smh]){0,10}$", var.callback_schedule))
    error_message = "callback_schedule must have 1 to 11 comma-separated durations, e.g. 5s,2m,1h."
  }
}

variable "concurrency" {
  description = "Maximum concurrent invocations per queue: documents, callbacks, and each dead-letter queue."
  type = object({
    documents = number
    callbacks = number
    dead      = number
  })
  default = { documents = 20, callbacks = 10, dead = 2 }

  validation {
    condition     = alltrue([for concurrency in values(var.concurrency) : concurrency >= 2 && concurrency <= 1000])
    error_message = "concurrency must be between 2 and 1000, a limit of Lambda."
  }
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics for alarms. CloudWatch must be permitted to publish to them and to use their KMS keys."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for topic in var.alarm_topics : can(regex("^arn:[^:]+:sns:", topic))])
    error_message = "alarm_topics must be ARNs of SNS topics."
  }
}

variable "worker_image" {
  description = "The worker's image, by digest. Default: no workers, e.g. for the first apply, before there is an image."
  type        = string
  default     = null

  validation {
    condition     = var.worker_image == null || can(regex("^[^@[:space:]]+@sha256:[0-9a-f]{64}$", var.worker_image))
    error_message = "worker_image must have a digest: repository@sha256:…. A tag could be moved to an untested image."
  }
}

variable "engines" {
  description = "Engines and routes as JSON, e.g. file(\"engines.json\") (see README, Engines and routes). Default: PP-OCR reads text. Folders are paths in the worker's image."
  type        = string
  default     = null

  validation {
    # All environment variables of a function together are limited to 4 KB.
    condition = var.engines == null || (
      can(keys(jsondecode(var.engines).engines)) &&
      length(try(jsonencode(jsondecode(var.engines)), "")) <= 3000
    )
    error_message = "engines must be JSON with engines and routes, and at most 3,000 characters when minified."
  }
}

variable "worker_secrets" {
  description = "ARNs of Secrets Manager secrets or Parameter Store parameters, by environment variable of the workers: for the api_key_env of engines."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, arn in var.worker_secrets :
      can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^arn:[^:]+:(secretsmanager|ssm):", arn))
    ])
    error_message = "worker_secrets must be ARNs of secrets or parameters, by environment variable, e.g. VLLM_API_KEY."
  }
}

variable "worker_vpc_id" {
  description = "VPC of the workers. Required with worker_image."
  type        = string
  default     = null

  validation {
    condition     = var.worker_image == null || can(regex("^vpc-", var.worker_vpc_id))
    error_message = "worker_image requires worker_vpc_id (vpc-…)."
  }
}

variable "worker_subnet_ids" {
  description = "Private subnets of the workers with a route to AWS: a NAT gateway or VPC endpoints (those of S3 and DynamoDB are free and carry most traffic). Required with worker_image."
  type        = list(string)
  default     = []

  validation {
    condition = var.worker_image == null || (
      length(var.worker_subnet_ids) > 0 && alltrue([for id in var.worker_subnet_ids : startswith(id, "subnet-")])
    )
    error_message = "worker_image requires worker_subnet_ids (subnet-…)."
  }
}

variable "worker_ami_id" {
  description = "AMI of the GPU instances, with driver R580 or newer. Default: the newest ECS-optimized GPU AMI of AWS."
  type        = string
  default     = null

  validation {
    condition     = var.worker_ami_id == null || can(regex("^ami-", var.worker_ami_id))
    error_message = "worker_ami_id must be the id of an AMI (ami-…)."
  }
}

variable "worker_instance_types" {
  description = "Types of the GPU instances, with at least 16 GB of memory; a worker uses one GPU. Several types improve Spot availability."
  type        = list(string)
  default     = ["g6.xlarge", "g5.xlarge"]

  validation {
    condition = length(var.worker_instance_types) > 0 && alltrue([
      for type in var.worker_instance_types : can(regex("^(g[5-9]|p[4-9])[a-z0-9]*\\.[0-9a-z]*xlarge$", type))
    ])
    error_message = "worker_instance_types must be types with NVIDIA GPUs, e.g. g6.xlarge."
  }
}

variable "worker_max" {
  description = "Maximum number of workers. The minimum is 0."
  type        = number
  default     = 4

  validation {
    condition     = var.worker_max >= 1 && var.worker_max <= 1000 && floor(var.worker_max) == var.worker_max
    error_message = "worker_max must be an integer between 1 and 1000."
  }
}

variable "worker_backlog" {
  description = "Target number of queued pages per worker: about what a worker reads in the five minutes that another one needs to start."
  type        = number
  default     = 500

  validation {
    condition     = var.worker_backlog >= 1
    error_message = "worker_backlog must be at least 1."
  }
}

variable "worker_spot" {
  description = "Number of on-demand instances before Spot instances are used, and the percentage of Spot among the others."
  type = object({
    on_demand_base = number
    percentage     = number
  })
  default = { on_demand_base = 0, percentage = 100 }

  validation {
    condition = (
      var.worker_spot.on_demand_base >= 0 && var.worker_spot.percentage >= 0 && var.worker_spot.percentage <= 100
    )
    error_message = "worker_spot must have an on_demand_base of at least 0 and a percentage between 0 and 100."
  }
}
