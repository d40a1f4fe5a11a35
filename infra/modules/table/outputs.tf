output "name" {
  description = "Its name."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "Its ARN."
  value       = aws_dynamodb_table.this.arn
}

output "undispatched_arn" {
  description = "ARN of the index of the tasks whose messages were perhaps not sent."
  value       = "${aws_dynamodb_table.this.arn}/index/undispatched"
}
