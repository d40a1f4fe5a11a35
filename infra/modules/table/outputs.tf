output "name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.this.arn
}

output "index_arns" {
  description = "ARNs of the indexes by name: undispatched, by_tenant and by_expiry."
  value = {
    for index in aws_dynamodb_table.this.global_secondary_index :
    index.name => "${aws_dynamodb_table.this.arn}/index/${index.name}"
  }
}
