output "arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.this.arn
}

output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "lease_secs" {
  description = "Visibility timeout in seconds."
  value       = aws_sqs_queue.this.visibility_timeout_seconds
}

output "redrive" {
  description = "Redrive policy: dead-letter queue and maximum receives; null without one."
  value       = try(jsondecode(aws_sqs_queue.this.redrive_policy), null)
}

output "redrive_allow" {
  description = "Redrive permission: the source queues of a dead-letter queue."
  value       = jsondecode(aws_sqs_queue.this.redrive_allow_policy)
}
