output "api_url" {
  description = "The API's address."
  value       = coalesce(var.public_url, module.api.url)
}

output "bucket" {
  description = "The bucket. What is put under inbox/ becomes a task."
  value       = module.bucket.name
}

output "table" {
  description = "The task table."
  value       = module.table.name
}

output "queue_prefix" {
  description = "What the names of the queues begin with."
  value       = var.name
}

output "webhook_secret_arn" {
  description = "The secret that callbacks are signed with. `quire webhook-secret` puts a value in, and prints it."
  value       = aws_secretsmanager_secret.webhook.arn
}

output "repository_url" {
  description = "Where the worker's image is pushed to."
  value       = aws_ecr_repository.worker.repository_url
}

output "environment" {
  description = "What the `quire` command needs to know: eval \"$(terraform -chdir=infra output -raw environment)\"."
  value = join("", [for name, value in merge({
    AWS_REGION               = local.region
    QUIRE_PLATFORM           = "aws"
    QUIRE_AWS_BUCKET         = module.bucket.name
    QUIRE_AWS_TABLE          = module.table.name
    QUIRE_AWS_QUEUE_PREFIX   = var.name
    QUIRE_AWS_WEBHOOK_SECRET = aws_secretsmanager_secret.webhook.arn
    }, local.engines == null ? {} : {
    # As a shell takes it.
    QUIRE_ENGINES = "'${replace(local.engines, "'", "'\\''")}'"
  }) : "export ${name}=${value}\n"])
}
