# The door: who may call, how often, and what is logged.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips = "./tests/zips"
}

run "the_function_checks_keys_unless_somebody_else_checks_who_calls" {
  assert {
    condition     = module.submit_api.environment.QUIRE_KEYS == "required" && alltrue([for kind in values(module.api.routes) : kind == "NONE"])
    error_message = "Nobody checks who calls, or two do."
  }

  assert {
    condition     = length(setsubtract(["POST /ocr", "POST /ocr/batch", "POST /ocr/async", "POST /uploads", "GET /task/{task_id}", "DELETE /task/{task_id}", "GET /healthz", "GET /openapi.json"], keys(module.api.routes))) == 0
    error_message = "A route is missing."
  }

  assert {
    condition     = output.api_url == "https://abcdefghij.execute-api.eu-central-1.amazonaws.com"
    error_message = "The API's address is another."
  }
}

run "every_call_but_what_is_for_everybody_is_authorized" {
  variables {
    authorization = "AWS_IAM"
  }

  assert {
    condition     = { for route, kind in module.api.routes : route => kind if kind != "AWS_IAM" } == { "GET /healthz" = "NONE", "GET /openapi.json" = "NONE" }
    error_message = "A route is open."
  }

  assert {
    condition     = module.submit_api.environment.QUIRE_KEYS == "off"
    error_message = "A signature would be taken for a key."
  }
}

run "tokens_are_taken_where_an_issuer_is_named" {
  variables {
    authorization = "JWT"
    jwt           = { issuer = "https://issuer.example", audience = ["quire"] }
    public_url    = "https://ocr.example"
  }

  assert {
    condition     = { for route, kind in module.api.routes : route => kind if kind != "JWT" } == { "GET /healthz" = "NONE", "GET /openapi.json" = "NONE" }
    error_message = "A route takes something else than tokens."
  }

  assert {
    condition     = output.api_url == "https://ocr.example" && module.submit_api.environment.QUIRE_PUBLIC_URL == "https://ocr.example"
    error_message = "status_url does not begin with the domain that customers call."
  }
}

run "calls_are_throttled_and_logged_without_what_customers_put_into_them" {
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
    error_message = "The API is not throttled."
  }

  assert {
    condition     = length(jsondecode(one(aws_apigatewayv2_stage.this.access_log_settings).format)) > 5 && !can(regex("path|query|header", lower(one(aws_apigatewayv2_stage.this.access_log_settings).format)))
    error_message = "The access log holds nothing, or what is the customers' own."
  }

  assert {
    condition     = aws_apigatewayv2_integration.this.payload_format_version == "2.0"
    error_message = "The function reads payloads of version 2.0."
  }
}

run "nobody_opens_the_api_to_everybody" {
  command = plan

  variables {
    authorization = "NONE"
  }

  expect_failures = [var.authorization]
}

run "tokens_without_an_issuer_are_refused" {
  command = plan

  variables {
    authorization = "JWT"
  }

  expect_failures = [var.authorization]
}

run "an_issuer_in_the_clear_is_refused" {
  command = plan

  variables {
    authorization = "JWT"
    jwt           = { issuer = "http://issuer.example", audience = ["quire"] }
  }

  expect_failures = [var.jwt]
}

run "values_that_make_no_sense_are_refused" {
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
