//! `GET /openapi.json`: the `OpenAPI` description of the API.
//!
//! It is written by hand, in `openapi.json` beside `src`. What all calls have in common is added here: the error codes
//! in `x-problems` of a call become error responses, one per status, and every response gets the common headers.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::http::problem_codes::ProblemCode;

/// The errors of every call.
const ALWAYS: [&str; 7] = [
    "body_too_large",
    "busy",
    "headers_too_large",
    "internal",
    "misdirected_request",
    "too_many_connections",
    "uri_too_long",
];
/// The errors of every call that requires an API key.
const KEYED: [&str; 3] = ["insufficient_scope", "rate_limited", "unauthorized"];
/// The headers of every response, and those of every response to a tenant.
const HEADERS: [(&str, &str); 3] =
    [("cache-control", "NoStore"), ("x-content-type-options", "ContentTypeOptions"), ("x-request-id", "RequestId")];
const KEYED_HEADERS: [(&str, &str); 2] = [("ratelimit-policy", "RateLimitPolicy"), ("ratelimit", "RateLimit")];

pub(crate) async fn get_openapi() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// Returns the description as it is served.
fn document() -> Value {
    let mut document: Value =
        serde_json::from_str(include_str!("../../openapi.json")).expect("openapi.json is JSON, which a test checks");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    for call in calls(&mut document) {
        complete(call);
    }
    document
}

/// Returns the calls of all paths and methods.
fn calls(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

fn complete(call: &mut Map<String, Value>) {
    let is_keyed = call.get("security").and_then(Value::as_array).is_none_or(|keys| !keys.is_empty());
    let own = call.remove("x-problems").unwrap_or_default();
    let own = own.as_array().into_iter().flatten().filter_map(Value::as_str);
    let codes = own.chain(ALWAYS).chain(KEYED.into_iter().filter(|_| is_keyed)).filter_map(ProblemCode::parse);
    let mut by_status = BTreeMap::<u16, Vec<ProblemCode>>::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(code);
    }
    let responses = &mut call["responses"];
    for (status, codes) in by_status {
        if responses.get(status.to_string()).is_none() {
            responses[status.to_string()] = problem_response(status, &codes);
        }
    }
    for response in responses.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let headers = KEYED_HEADERS.into_iter().filter(|_| is_keyed).chain(HEADERS);
        for (name, component) in headers {
            response["headers"][name] = header(component);
        }
    }
}

/// Returns the error response for these codes, which all have this status.
fn problem_response(status: u16, codes: &[ProblemCode]) -> Value {
    let meanings: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.meaning())).collect();
    let mut names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let narrowed = json!({"properties": {"status": {"const": status}, "code": {"enum": names}}});
    let schema = json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]});
    let headers = match status {
        401 => json!({"www-authenticate": header("Authenticate")}),
        429 | 503 | 507 => json!({"retry-after": header("RetryAfter")}),
        409 if names.contains(&"idempotency_key_in_use") => json!({"retry-after": header("RetryAfterOpen")}),
        _ => json!({}),
    };
    json!({
        "description": meanings.join(" "),
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema}},
    })
}

fn header(component: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{component}")})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The errors of requests to no call.
    const OF_NO_CALL: [&str; 2] = ["method_not_allowed", "not_found"];

    #[test]
    fn openapi_lists_exactly_the_codes_of_requests() {
        let mut source: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
        let mut described: BTreeSet<String> =
            ALWAYS.into_iter().chain(KEYED).chain(OF_NO_CALL).map(str::to_owned).collect();
        for call in calls(&mut source) {
            let own = call["x-problems"].as_array().expect("each call has x-problems").iter();
            described.extend(own.map(|code| code.as_str().expect("a code").to_owned()));
        }
        let unknown: Vec<&String> = described.iter().filter(|code| ProblemCode::parse(code).is_none()).collect();
        assert!(unknown.is_empty(), "unknown codes: {unknown:?}");
        let known = ProblemCode::OF_REQUESTS.iter().map(|code| code.as_str());
        let missing: Vec<&str> = known.filter(|code| !described.contains(*code)).collect();
        assert!(missing.is_empty(), "no call lists these codes: {missing:?}");
    }

    #[test]
    fn failure_codes_are_those_of_results() {
        let document = document();
        let described = document["components"]["schemas"]["FailureCode"]["enum"].clone();
        let known: Vec<&str> = quire_tasks::FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(described, json!(known));
    }

    #[test]
    fn common_errors_and_headers_are_added_to_every_call() {
        let document = document();
        let call = &document["paths"]["/task/{task_id}"]["get"];
        assert!(call.get("x-problems").is_none());
        let codes = |status: &str| {
            let schema = &call["responses"][status]["content"]["application/problem+json"]["schema"];
            schema["allOf"][1]["properties"]["code"]["enum"].clone()
        };
        assert_eq!((codes("404"), codes("401")), (json!(["task_not_found"]), json!(["unauthorized"])));
        assert!(call["responses"]["503"]["headers"]["retry-after"].is_object());
        assert!(call["responses"]["200"]["headers"]["x-request-id"].is_object());
        let open = &document["paths"]["/healthz"]["get"]["responses"];
        assert!(open.get("401").is_none());
        assert!(open["503"]["content"]["application/json"].is_object(), "the documented response is kept");
    }

    #[test]
    fn every_reference_resolves() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        let dead = |reference: &&str| document.pointer(reference.trim_start_matches('#')).is_none();
        let dead: Vec<&str> = found.into_iter().filter(dead).collect();
        assert!(dead.is_empty(), "{dead:?}");
    }
}
