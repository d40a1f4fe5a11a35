//! The scope that each call requires of its API key. A test compares it with `openapi.json`.

use axum::http::Method;
use quire_tenants::Scope;

/// Returns the scope that a call requires; `None` for a public or unknown one.
pub(crate) fn required_scope(method: &Method, route: &str) -> Option<Scope> {
    let scope = match route {
        "/ocr" | "/ocr/batch" | "/ocr/async" | "/uploads" | "/task/{task_id}/retry" | "/task/{task_id}/cancel" => {
            Scope::Submit
        }
        "/task/{task_id}" if *method == Method::DELETE => Scope::Delete,
        "/task"
        | "/task/{task_id}"
        | "/task/{task_id}/pages"
        | "/task/{task_id}/result"
        | "/task/{task_id}/deliveries" => Scope::Read,
        "/webhooks/secret/rotate" => Scope::Admin,
        "/deliveries/{delivery_id}/resend"
        | "/webhooks/secret"
        | "/webhooks/recover"
        | "/webhooks/test"
        | "/webhooks/endpoints"
        | "/webhooks/endpoints/{endpoint_id}/enable" => Scope::Webhooks,
        _ => return None,
    };
    Some(scope)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn openapi_names_the_scope_of_every_call() {
        let api: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
        for (path, calls) in api["paths"].as_object().expect("paths") {
            for (name, call) in calls.as_object().expect("calls") {
                let method: Method = name.to_uppercase().parse().expect("a method");
                let expected = match required_scope(&method, path) {
                    Some(scope) => json!([{"key": [scope.as_str()]}]),
                    None => json!([]),
                };
                assert_eq!(call["security"], expected, "{method} {path}");
            }
        }
    }
}
