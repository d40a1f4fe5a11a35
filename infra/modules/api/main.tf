# The HTTP API: explicit routes to one function, with a rate limit and an access log.

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Quire: OCR of documents"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = var.function_invoke_arn
  payload_format_version = "2.0"
  # The maximum timeout of API Gateway; the function's timeout is one second shorter.
  timeout_milliseconds = 30000
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.jwt == null ? 0 : 1

  api_id           = aws_apigatewayv2_api.this.id
  name             = "jwt"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.jwt.issuer
    audience = var.jwt.audience
  }
}

resource "aws_apigatewayv2_route" "call" {
  #checkov:skip=CKV_AWS_309:with NONE the function checks API keys itself; public routes return no customer data
  for_each = var.calls

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.this.id}"
  authorization_type = each.value ? "NONE" : var.authorization
  authorizer_id      = each.value ? null : one(aws_apigatewayv2_authorizer.jwt[*].id)
}

resource "aws_cloudwatch_log_group" "access" {
  # With this prefix AWS needs no additional statement in the log resource policy, whose size is limited.
  name              = "/aws/vendedlogs/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  # Without path and query, which may contain customer data.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      "request.id"        = "$context.requestId"
      time                = "$context.requestTime"
      "client.address"    = "$context.identity.sourceIp"
      route               = "$context.routeKey"
      status              = "$context.status"
      duration_ms         = "$context.responseLatency"
      "function.ms"       = "$context.integrationLatency"
      "function.error"    = "$context.integrationErrorMessage"
      "response.bytes"    = "$context.responseLength"
      "error.type"        = "$context.error.responseType"
      "authorizer.refuse" = "$context.authorizer.error"
    })
  }

  default_route_settings {
    detailed_metrics_enabled = true
    throttling_rate_limit    = var.throttling.rate
    throttling_burst_limit   = var.throttling.burst
  }
}
