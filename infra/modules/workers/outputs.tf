output "cluster" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "service" {
  description = "Name of the service."
  value       = aws_ecs_service.this.name
}

output "policy" {
  description = "Policy of the worker's role."
  value       = jsondecode(aws_iam_role_policy.task.policy)
}
