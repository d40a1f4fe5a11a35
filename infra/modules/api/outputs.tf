output "id" {
  description = "The API's id."
  value       = aws_apigatewayv2_api.this.id
}

output "url" {
  description = "Its address, without a slash at the end. It does not depend on the function, which needs to know it."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "execution_arn" {
  description = "What stands before stage and route in the ARN of a call."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "routes" {
  description = "Each route's authorization."
  value       = { for route in aws_apigatewayv2_route.call : route.route_key => route.authorization_type }
}

output "throttling" {
  description = "Requests a second, and at once."
  value       = { rate = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit, burst = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit }
}
