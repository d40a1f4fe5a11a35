output "arn" {
  description = "Its ARN."
  value       = aws_sqs_queue.this.arn
}

output "name" {
  description = "Its name."
  value       = aws_sqs_queue.this.name
}

output "lease_secs" {
  description = "How long a received message stays hidden."
  value       = aws_sqs_queue.this.visibility_timeout_seconds
}

output "redrive" {
  description = "Where its dead letters go, and after how many receives; null where it has none."
  value       = try(jsondecode(aws_sqs_queue.this.redrive_policy), null)
}

output "redrive_allow" {
  description = "Whose dead letters it takes."
  value       = jsondecode(aws_sqs_queue.this.redrive_allow_policy)
}
