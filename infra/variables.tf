variable "name" {
  description = "What every name begins with, and the names of the table and the queues: one deployment of an account and region has it."
  type        = string
  default     = "quire"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 21 of a-z, 0-9 and -, begin with a letter and not end with -."
  }
}

variable "region" {
  description = "AWS region; null takes the one of the environment (AWS_REGION)."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-central-1."
  }
}

variable "emulator" {
  description = "Whether this goes to an emulator named by AWS_ENDPOINT_URL: S3 by path, and plain HTTP to this machine allowed for callback_url and image_url."
  type        = bool
  default     = false
}

variable "zips" {
  description = "Folder with the functions' zips; null is build/ beside this file, where `cargo run -p quire-package` puts them."
  type        = string
  default     = null

  validation {
    condition     = var.zips == null || can(regex("[^/]$", var.zips))
    error_message = "zips must be a folder, without a slash at its end."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number that CloudWatch Logs takes: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096 and so on."
  }
}

variable "deletion_protection" {
  description = "Whether data is protected: the table and a bucket or registry with something in it refuse to be deleted, the key and the secret wait for 30 days."
  type        = bool
  default     = true
}

variable "authorization" {
  description = "Who may call the API: KEYS (Quire's own API keys, one tenant each, see `quire keys`); or, as one tenant, AWS_IAM (signed requests of principals with execute-api:Invoke), JWT (see jwt), or, on an emulator only, NONE."
  type        = string
  default     = "KEYS"

  validation {
    condition     = contains(["KEYS", "AWS_IAM", "JWT", "NONE"], var.authorization)
    error_message = "authorization must be KEYS, AWS_IAM, JWT or NONE."
  }

  validation {
    condition     = var.authorization != "NONE" || var.emulator
    error_message = "authorization NONE is for emulators: on AWS the API would be open to everybody."
  }

  validation {
    condition     = (var.authorization == "JWT") == (var.jwt != null)
    error_message = "authorization JWT and jwt (issuer and audience) go together."
  }
}

variable "jwt" {
  description = "Whose tokens the API takes, where authorization is JWT: the issuer's address and the audiences."
  type = object({
    issuer   = string
    audience = list(string)
  })
  default = null

  validation {
    condition     = var.jwt == null || try(startswith(var.jwt.issuer, "https://") && length(var.jwt.audience) > 0, false)
    error_message = "jwt needs an issuer that begins with https:// and at least one audience."
  }
}

variable "throttling" {
  description = "How many requests a second the API takes, and how many at once."
  type = object({
    rate  = number
    burst = number
  })
  default = { rate = 100, burst = 200 }

  validation {
    condition     = var.throttling.rate >= 1 && var.throttling.burst >= 1
    error_message = "throttling needs a rate and a burst of at least 1."
  }
}

variable "public_url" {
  description = "What status_url begins with, where a domain of your own stands in front of the API; null is the API's own address."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null || can(regex("^https?://[^/]+(/.*[^/])?$", var.public_url))
    error_message = "public_url must be an address that begins with https:// (or http://) and ends without a slash."
  }
}

variable "inbox_callback_url" {
  description = "Who is told about documents that were put straight into the bucket's inbox/; null for nobody."
  type        = string
  default     = null

  validation {
    condition     = var.inbox_callback_url == null || can(regex("^https://", var.inbox_callback_url)) || var.emulator
    error_message = "inbox_callback_url must begin with https://."
  }
}

variable "callback_schedule" {
  description = "The waits before the second attempt at a callback, the third and so on, as 5s,5m,30m,2h,5h,10h,10h; null is 1s,5s,15s."
  type        = string
  default     = null

  validation {
    condition     = var.callback_schedule == null || can(regex("^[0-9]+[smh](,[0-9]+[smh]){0,10}$", var.callback_schedule))
    error_message = "callback_schedule must be up to 11 waits as 5s, 2m or 1h, set apart by commas."
  }
}

variable "concurrency" {
  description = "How many invocations at once empty each queue: documents (fetched and split), callbacks, and each of the dead-letter queues."
  type = object({
    documents = number
    callbacks = number
    dead      = number
  })
  default = { documents = 20, callbacks = 10, dead = 2 }

  validation {
    condition     = alltrue([for at_once in values(var.concurrency) : at_once >= 2 && at_once <= 1000])
    error_message = "concurrency must be from 2 to 1000: what Lambda takes."
  }
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics that alarms go to. The topics' own encryption must let CloudWatch publish."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for topic in var.alarm_topics : can(regex("^arn:[^:]+:sns:", topic))])
    error_message = "alarm_topics must be ARNs of SNS topics."
  }
}

variable "worker_image" {
  description = "The worker's image, by digest. Null, as for a first apply before there is one, deploys no workers."
  type        = string
  default     = null

  validation {
    condition     = var.worker_image == null || can(regex("^[^@[:space:]]+@sha256:[0-9a-f]{64}$", var.worker_image))
    error_message = "worker_image must name its digest: repository@sha256:…. A tag can change under what was tested."
  }
}

variable "engines" {
  description = "Which engines there are and what reads what, as JSON (see README, Engines and routes): file(\"engines.json\"), say. Null reads text with PP-OCR. Folders are the image's own."
  type        = string
  default     = null

  validation {
    # A function's environment has 4 KB in all.
    condition     = var.engines == null || (can(keys(jsondecode(var.engines).engines)) && length(try(jsonencode(jsondecode(var.engines)), "")) <= 3000)
    error_message = "engines must be JSON with engines and routes, of at most 3,000 characters without its spaces."
  }
}

variable "worker_secrets" {
  description = "What the workers' environment gets from Secrets Manager or Parameter Store: ARNs by variable, for the keys that engines name in api_key_env."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, arn in var.worker_secrets : can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^arn:[^:]+:(secretsmanager|ssm):", arn))])
    error_message = "worker_secrets must be ARNs of secrets or parameters, by names as VLLM_API_KEY."
  }
}

variable "worker_vpc_id" {
  description = "VPC of the workers. Needed with worker_image."
  type        = string
  default     = null

  validation {
    condition     = var.worker_image == null || can(regex("^vpc-", var.worker_vpc_id))
    error_message = "worker_image needs worker_vpc_id, as vpc-…."
  }
}

variable "worker_subnet_ids" {
  description = "Private subnets of the workers, with a way out to AWS: a NAT gateway, or endpoints (those of S3 and DynamoDB cost nothing, and most bytes go there). Needed with worker_image."
  type        = list(string)
  default     = []

  validation {
    condition     = var.worker_image == null || (length(var.worker_subnet_ids) > 0 && alltrue([for id in var.worker_subnet_ids : startswith(id, "subnet-")]))
    error_message = "worker_image needs worker_subnet_ids, each as subnet-…."
  }
}

variable "worker_ami_id" {
  description = "Machine image of the GPU instances; null is AWS's newest for ECS with GPUs. Its driver must be R580 or newer."
  type        = string
  default     = null

  validation {
    condition     = var.worker_ami_id == null || can(regex("^ami-", var.worker_ami_id))
    error_message = "worker_ami_id must look like ami-…."
  }
}

variable "worker_instance_types" {
  description = "Types of the GPU instances, with at least 16 GB; a worker takes one GPU. Several make Spot capacity easier to find."
  type        = list(string)
  default     = ["g6.xlarge", "g5.xlarge"]

  validation {
    condition     = length(var.worker_instance_types) > 0 && alltrue([for type in var.worker_instance_types : can(regex("^(g[5-9]|p[4-9])[a-z0-9]*\\.[0-9a-z]*xlarge$", type))])
    error_message = "worker_instance_types must be NVIDIA types as g6.xlarge."
  }
}

variable "worker_max" {
  description = "The most workers at once. The fewest is none."
  type        = number
  default     = 4

  validation {
    condition     = var.worker_max >= 1 && var.worker_max <= 1000 && floor(var.worker_max) == var.worker_max
    error_message = "worker_max must be a whole number from 1 to 1000."
  }
}

variable "worker_backlog" {
  description = "How many pages may wait for each worker. About as many as one reads in the five minutes that a further one needs to start."
  type        = number
  default     = 500

  validation {
    condition     = var.worker_backlog >= 1
    error_message = "worker_backlog must be at least 1."
  }
}

variable "worker_spot" {
  description = "How many instances are on demand before any is Spot, and the percentage of Spot among the others."
  type = object({
    on_demand_base = number
    percentage     = number
  })
  default = { on_demand_base = 0, percentage = 100 }

  validation {
    condition     = var.worker_spot.on_demand_base >= 0 && var.worker_spot.percentage >= 0 && var.worker_spot.percentage <= 100
    error_message = "worker_spot needs an on_demand_base of at least 0 and a percentage from 0 to 100."
  }
}
