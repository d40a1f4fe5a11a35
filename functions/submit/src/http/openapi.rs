//! `GET /openapi.json`: the API's description, for programs.
//!
//! It is written by hand, in `openapi.json` beside the sources. What is the same everywhere is not written there but
//! added here: of each call, `x-problems` lists the codes of its errors, and becomes an answer for each of their
//! statuses; every answer gets the headers that every answer has.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::http::problem_codes::{self, Code};

/// Errors of every call.
const ALWAYS: [&str; 3] = ["body_too_large", "busy", "internal"];
/// Errors of every call that asks for a key.
const KEYED: [&str; 2] = ["rate_limited", "unauthorized"];
/// The headers of every answer, and those of every answer to a tenant.
const HEADERS: [(&str, &str); 1] = [("x-request-id", "RequestId")];
const KEYED_HEADERS: [(&str, &str); 2] = [("ratelimit-policy", "RateLimitPolicy"), ("ratelimit", "RateLimit")];

pub(crate) async fn openapi() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// The description as it is served.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("a test reads it");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    for call in calls(&mut document) {
        complete(call);
    }
    document
}

/// The calls, whatever their paths and methods.
fn calls(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

fn complete(call: &mut Map<String, Value>) {
    let is_keyed = !call.contains_key("security");
    let own = call.remove("x-problems").unwrap_or_default();
    let own = own.as_array().into_iter().flatten().filter_map(Value::as_str);
    let codes = own.chain(ALWAYS).chain(KEYED.into_iter().filter(|_| is_keyed)).filter_map(problem_codes::named);
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.status).or_default().push(code);
    }
    let responses = &mut call["responses"];
    for (status, codes) in by_status {
        if responses.get(status.to_string()).is_none() {
            responses[status.to_string()] = problem(status, &codes);
        }
    }
    for response in responses.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let headers = KEYED_HEADERS.into_iter().filter(|_| is_keyed).chain(HEADERS);
        for (name, component) in headers {
            response["headers"][name] = header(component);
        }
    }
}

/// The answer to a request with one of these problems, all of one status.
fn problem(status: u16, codes: &[Code]) -> Value {
    let about: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.name, code.about)).collect();
    let mut names: Vec<&str> = codes.iter().map(|code| code.name).collect();
    names.sort_unstable();
    names.dedup();
    let narrowed = json!({"properties": {"status": {"const": status}, "code": {"enum": names}}});
    let schema = json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]});
    let headers = match status {
        401 => json!({"www-authenticate": header("Authenticate")}),
        429 | 503 => json!({"retry-after": header("RetryAfter")}),
        409 if names.contains(&"idempotency_key_in_use") => json!({"retry-after": header("RetryAfterOpen")}),
        _ => json!({}),
    };
    json!({
        "description": about.join(" "),
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

    /// These have no call of their own.
    const OF_NO_CALL: [&str; 2] = ["method_not_allowed", "not_found"];

    #[test]
    fn every_code_that_is_described_is_known_and_every_known_one_of_a_request_is_described() {
        let mut source: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
        let mut described: BTreeSet<String> =
            ALWAYS.into_iter().chain(KEYED).chain(OF_NO_CALL).map(str::to_owned).collect();
        for call in calls(&mut source) {
            let own = call["x-problems"].as_array().expect("each call has its list").iter();
            described.extend(own.map(|code| code.as_str().expect("a code").to_owned()));
        }
        let unknown: Vec<&String> = described.iter().filter(|code| problem_codes::named(code).is_none()).collect();
        assert!(unknown.is_empty(), "there is no such code: {unknown:?}");
        let missing: Vec<&str> = problem_codes::OF_REQUESTS.iter().map(|code| code.name).collect();
        let missing: Vec<&str> = missing.into_iter().filter(|code| !described.contains(*code)).collect();
        assert!(missing.is_empty(), "no call is said to answer {missing:?}");
    }

    #[test]
    fn the_codes_of_documents_are_those_that_results_have() {
        let document = document();
        let described = document["components"]["schemas"]["FailureCode"]["enum"].clone();
        let known: Vec<&str> = problem_codes::OF_DOCUMENTS.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(described, json!(known));
    }

    #[test]
    fn what_is_the_same_everywhere_is_added_to_every_call() {
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
        assert!(open["503"]["content"]["application/json"].is_object(), "its own answer stays");
    }

    #[test]
    fn every_reference_leads_somewhere() {
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
