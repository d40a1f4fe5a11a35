//! Bodies that are a JSON object of a few members.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use quire_tasks::{MAX_FIELD_KEYS, MAX_WORD_CHARS};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::{
    Door,
    fields::MAX_POLICY_BYTES,
    options::{MAX_TAG_CHARS, MAX_TAGS},
    problem::Problem,
};

/// As many keys and tags as are taken, with every character escaped.
const MAX_TEXTS_BYTES: usize = 12 * (MAX_FIELD_KEYS * MAX_WORD_CHARS + MAX_TAGS * MAX_TAG_CHARS);
/// Two URLs of the longest kind besides, a policy, and as much again for the rest.
const MAX_BYTES: usize = 2 * (2 * 6 * quire_egress::MAX_URL_LENGTH + MAX_TEXTS_BYTES + MAX_POLICY_BYTES);

/// The members of a request's body, of which there are no others than `known`.
pub(crate) async fn members(door: &Door, request: Request, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let bytes = timeout(door.settings.idle_limit, to_bytes(request.into_body(), MAX_BYTES)).await;
    let bytes = bytes
        .map_err(|_| Problem::upload_stalled())?
        .map_err(|_| Problem::malformed_json(format!("The body broke off, or has more than {MAX_BYTES} bytes.")))?;
    let members: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::malformed_json(format!("The body is no JSON object (line {}).", error.line())))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(Problem::unknown_field(unknown, &known.join(", "))),
        None => Ok(members),
    }
}

/// A member, whatever it is; `null` is as good as nothing.
pub(crate) fn value<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// A member that is text; `null` is as good as nothing.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Problem> {
    match value(members, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::invalid_field(name, "The field is no string.")),
    }
}

/// A member that is an array of texts; `null` is as good as none.
pub(crate) fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Problem> {
    let Some(value) = value(members, name) else { return Ok(Vec::new()) };
    let wrong = |place: &str| Problem::invalid_field(place, "The field is no array of strings.");
    let texts = value.as_array().ok_or_else(|| wrong(name))?;
    let text = |(place, text): (usize, &Value)| {
        text.as_str().map(str::to_owned).ok_or_else(|| wrong(&format!("{name}/{place}")))
    };
    texts.iter().enumerate().map(text).collect()
}

/// A member that is a URL we may call.
pub(crate) fn url(door: &Door, members: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    text(members, name)?.map(|url| door.callable(name, url)).transpose()
}

/// The content type of a request without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
