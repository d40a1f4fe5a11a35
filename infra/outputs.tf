output "api_url" {
  description = "URL of the API."
  value       = coalesce(var.public_url, module.api.url)
}

output "bucket" {
  description = "Name of the bucket. Each object under inbox/ becomes a task."
  value       = module.bucket.name
}

output "table" {
  description = "Name of the task table."
  value       = module.table.name
}

output "queue_prefix" {
  description = "Prefix of the queues' names."
  value       = var.name
}

output "webhook_secret_arn" {
  description = "ARN of the signing secret of callbacks. `quire webhook-secret` generates and prints its value."
  value       = aws_secretsmanager_secret.webhook.arn
}

output "repository_url" {
  description = "URL of the repository for the worker's image."
  value       = aws_ecr_repository.worker.repository_url
}

output "environment" {
  description = "Environment variables of the `quire` command: eval \"$(terraform -chdir=infra output -raw environment)\"."
  value = join("", [for name, value in merge({
    AWS_REGION               = local.region
    QUIRE_PLATFORM           = "aws"
    QUIRE_AWS_BUCKET         = module.bucket.name
    QUIRE_AWS_TABLE          = module.table.name
    QUIRE_AWS_QUEUE_PREFIX   = var.name
    QUIRE_AWS_WEBHOOK_SECRET = aws_secretsmanager_secret.webhook.arn
    }, local.engines == null ? {} : {
    # Quoted for a shell.
    QUIRE_ENGINES = "'${replace(local.engines, "'", "'\\''")}'"
  }) : "export ${name}=${value}\n"])
}
