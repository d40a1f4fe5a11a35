//! Request bodies that are JSON objects.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::{
    http::{problem::Problem, upload_limits::UploadTimeout},
    limits::MAX_JSON_BYTES,
    state::AppState,
};

/// Parses the body. Error: `malformed_json`, or `unknown_field` for a member that is not in `known`.
pub(crate) async fn members(app: &AppState, request: Request, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let bytes = timeout(app.settings.idle_limit, to_bytes(request.into_body(), MAX_JSON_BYTES)).await;
    let bytes =
        bytes.map_err(|_| Problem::upload_stalled())?.map_err(|error| match UploadTimeout::cause_of(&error) {
            Some(timeout) => timeout.into(),
            None => Problem::malformed_json(format!("The body is truncated, or larger than {MAX_JSON_BYTES} bytes.")),
        })?;
    let members: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::malformed_json(format!("The body must be a JSON object (error in line {}).", error.line()))
    })?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(Problem::unknown_field(unknown, &known.join(", "))),
        None => Ok(members),
    }
}

/// Returns a member. `null` counts as absent.
pub(crate) fn value<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// Returns a string member. `null` counts as absent.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Problem> {
    match value(members, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::invalid_field(name, "Must be a string.")),
    }
}

/// Returns a member that is true or false. `null` counts as absent.
pub(crate) fn flag(members: &Map<String, Value>, name: &str) -> Result<Option<bool>, Problem> {
    match value(members, name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Problem::invalid_field(name, "Must be true or false.")),
    }
}

/// Returns a member that is an array of strings. `null` counts as an empty array.
pub(crate) fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Problem> {
    let Some(value) = value(members, name) else { return Ok(Vec::new()) };
    let invalid = |pointer: &str| Problem::invalid_field(pointer, "Must be an array of strings.");
    let values = value.as_array().ok_or_else(|| invalid(name))?;
    let mut texts = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let text = value.as_str().ok_or_else(|| invalid(&format!("{name}/{index}")))?;
        texts.push(text.to_owned());
    }
    Ok(texts)
}

/// Returns a member that is a URL which may be called.
pub(crate) fn url(app: &AppState, members: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    text(members, name)?.map(|url| app.callable(name, url)).transpose()
}

/// Returns the content type of a request without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
