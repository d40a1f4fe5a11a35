output "name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.this.arn
}

output "invoke_arn" {
  description = "What API Gateway calls."
  value       = aws_lambda_function.this.invoke_arn
}

output "environment" {
  description = "Its environment."
  value       = var.environment
}

output "policy" {
  description = "What its role may do."
  value       = jsondecode(aws_iam_role_policy.this.policy)
}

output "mappings" {
  description = "The queues that feed it, by name."
  value       = aws_lambda_event_source_mapping.this
}
