# The HTTP API: authentication, rate limit and access log.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips = "./tests/zips"
}

run "the_function_checks_api_keys_by_default" {
  assert {
    condition     = module.submit_api.environment.QUIRE_KEYS == "required" && alltrue([for kind in values(module.api.routes) : kind == "NONE"])
    error_message = "Exactly the function must authenticate requests."
  }

  assert {
    condition     = length(setsubtract(["POST /ocr", "POST /ocr/batch", "POST /ocr/async", "POST /uploads", "GET /task/{task_id}", "DELETE /task/{task_id}", "GET /healthz", "GET /openapi.json"], keys(module.api.routes))) == 0
    error_message = "All routes must exist."
  }

  assert {
    condition     = output.api_url == "https://abcdefghij.execute-api.eu-central-1.amazonaws.com"
    error_message = "api_url must be the URL of the API."
  }
}

run "all_routes_except_public_ones_require_authorization" {
  variables {
    authorization = "AWS_IAM"
  }

  assert {
    condition     = { for route, kind in module.api.routes : route => kind if kind != "AWS_IAM" } == { "GET /healthz" = "NONE", "GET /openapi.json" = "NONE" }
    error_message = "Only public routes may have no authorization."
  }

  assert {
    condition     = module.submit_api.environment.QUIRE_KEYS == "off"
    error_message = "The function must not check API keys when API Gateway authenticates."
  }
}

run "tokens_are_accepted_with_an_issuer" {
  variables {
    authorization = "JWT"
    jwt           = { issuer = "https://issuer.example", audience = ["quire"] }
    public_url    = "https://ocr.example"
  }

  assert {
    condition     = { for route, kind in module.api.routes : route => kind if kind != "JWT" } == { "GET /healthz" = "NONE", "GET /openapi.json" = "NONE" }
    error_message = "All routes except public ones must require tokens."
  }

  assert {
    condition     = output.api_url == "https://ocr.example" && module.submit_api.environment.QUIRE_PUBLIC_URL == "https://ocr.example"
    error_message = "status_url must start with public_url."
  }
}

run "requests_are_throttled_and_logged_without_customer_data" {
  module {
    source = "./modules/api"
  }

  variables {
    name                = "quire"
    calls               = { "GET /healthz" = true }
    function_invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/f/invocations"
    authorization       = "AWS_IAM"
    jwt                 = null
    throttling          = { rate = 7, burst = 9 }
    kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1"
    log_retention_days  = 30
  }

  assert {
    condition     = [for settings in aws_apigatewayv2_stage.this.default_route_settings : [settings.throttling_rate_limit, settings.throttling_burst_limit]] == [[7, 9]]
    error_message = "The API must have the configured rate limit."
  }

  assert {
    condition     = length(jsondecode(one(aws_apigatewayv2_stage.this.access_log_settings).format)) > 5 && !can(regex("path|query|header", lower(one(aws_apigatewayv2_stage.this.access_log_settings).format)))
    error_message = "The access log must have fields, but no path, query or headers."
  }

  assert {
    condition     = aws_apigatewayv2_integration.this.payload_format_version == "2.0"
    error_message = "The payload format must be version 2.0."
  }
}

run "a_public_api_is_rejected" {
  command = plan

  variables {
    authorization = "NONE"
  }

  expect_failures = [var.authorization]
}

run "tokens_without_an_issuer_are_rejected" {
  command = plan

  variables {
    authorization = "JWT"
  }

  expect_failures = [var.authorization]
}

run "an_issuer_with_plain_http_is_rejected" {
  command = plan

  variables {
    authorization = "JWT"
    jwt           = { issuer = "http://issuer.example", audience = ["quire"] }
  }

  expect_failures = [var.jwt]
}

run "invalid_values_are_rejected" {
  command = plan

  variables {
    name               = "Quire_1"
    region             = "Frankfurt"
    zips               = "build/"
    log_retention_days = 2
    throttling         = { rate = 0, burst = 1 }
    public_url         = "ocr.example/"
    inbox_callback_url = "http://ocr.example"
    callback_schedule  = "5s,1d"
    concurrency        = { documents = 1, callbacks = 2, dead = 2 }
    alarm_topics       = ["ops@example.com"]
  }

  expect_failures = [
    var.name, var.region, var.zips, var.log_retention_days, var.throttling, var.public_url,
    var.inbox_callback_url, var.callback_schedule, var.concurrency, var.alarm_topics,
  ]
}
