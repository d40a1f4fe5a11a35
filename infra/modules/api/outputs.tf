output "id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.this.id
}

output "url" {
  description = "URL of the API, without a trailing slash. Does not depend on the function, whose environment contains it."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "execution_arn" {
  description = "Prefix of the ARN of a request, before stage and route."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "routes" {
  description = "Authorization type by route."
  value       = { for route in aws_apigatewayv2_route.call : route.route_key => route.authorization_type }
}

output "throttling" {
  description = "Rate limit: requests per second, and burst."
  value = {
    rate  = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit
    burst = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit
  }
}
