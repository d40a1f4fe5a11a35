output "name" {
  description = "Its name."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "Its ARN."
  value       = aws_dynamodb_table.this.arn
}

output "index_arns" {
  description = "ARNs of its indexes by their names: undispatched, of the tasks whose messages were perhaps not sent; by_tenant; by_expiry."
  value       = { for index in aws_dynamodb_table.this.global_secondary_index : index.name => "${aws_dynamodb_table.this.arn}/index/${index.name}" }
}
