output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "invoke_arn" {
  description = "Invoke ARN for API Gateway."
  value       = aws_lambda_function.this.invoke_arn
}

output "environment" {
  description = "Environment variables."
  value       = var.environment
}

output "policy" {
  description = "Policy of the role."
  value       = jsondecode(aws_iam_role_policy.this.policy)
}

output "mappings" {
  description = "Event source mappings by name of the queue."
  value       = aws_lambda_event_source_mapping.this
}
