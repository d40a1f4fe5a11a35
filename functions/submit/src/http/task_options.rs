//! Parses the task options of a request: tags, retention, redaction, words and callback.

use std::time::Duration;

use quire_redact::Redactor;
use quire_tasks::{
    Callback, CallbackPayload, CallbackProgress, DEFAULT_RETENTION, MAX_RETENTION, MIN_RETENTION, RedactKind,
    RedactPattern, RedactPolicy,
};
use serde_json::{Map, Value};

use crate::{
    http::{json, problem::Problem, urls::BaseUrl},
    limits::{MAX_TAG_CHARS, MAX_TAGS},
    state::AppState,
    tasks::options::TaskOptions,
};

const HOUR_SECS: u64 = 3600;

/// Parses the task options from the fields of a request. `null` counts as absent.
pub(crate) async fn parse_task_options(
    app: &AppState,
    base: &BaseUrl,
    fields: &Map<String, Value>,
) -> Result<TaskOptions, Problem> {
    let tags = parse_tags(fields)?;
    let retention = parse_retention(fields)?;
    let callback = parse_callback(app, base, fields)?;
    let redact = match json::value(fields, "redact") {
        Some(value) => Some(validate_policy(parse_policy(value)?).await?),
        None => None,
    };
    let words = json::flag(fields, "words")?.unwrap_or_default();
    Ok(TaskOptions { tags, retention, redact, words, callback })
}

fn parse_tags(fields: &Map<String, Value>) -> Result<Vec<String>, Problem> {
    let tags = json::texts(fields, "tags")?;
    if tags.len() > MAX_TAGS {
        return Err(Problem::invalid_field("tags", format!("Must have at most {MAX_TAGS} tags.")));
    }
    match tags.iter().position(|tag| !is_valid_tag(tag)) {
        Some(index) => {
            let detail = format!("Must be 1 to {MAX_TAG_CHARS} characters, not blank, and without control characters.");
            Err(Problem::invalid_field(&format!("tags/{index}"), detail))
        }
        None => Ok(tags),
    }
}

fn is_valid_tag(tag: &str) -> bool {
    let length = tag.chars().count();
    (1..=MAX_TAG_CHARS).contains(&length) && !tag.chars().any(char::is_control) && !tag.trim().is_empty()
}

fn parse_retention(fields: &Map<String, Value>) -> Result<Duration, Problem> {
    let Some(value) = json::value(fields, "retention_hours") else { return Ok(DEFAULT_RETENTION) };
    let min_hours = MIN_RETENTION.as_secs() / HOUR_SECS;
    let max_hours = MAX_RETENTION.as_secs() / HOUR_SECS;
    match value.as_u64() {
        Some(hours) if (min_hours..=max_hours).contains(&hours) => Ok(Duration::from_hours(hours)),
        _ => {
            let detail = format!("Must be an integer between {min_hours} and {max_hours}.");
            Err(Problem::invalid_field("retention_hours", detail))
        }
    }
}

fn parse_callback(app: &AppState, base: &BaseUrl, fields: &Map<String, Value>) -> Result<Option<Callback>, Problem> {
    let payload = match json::text(fields, "payload")? {
        None => None,
        Some("full") => Some(CallbackPayload::Full),
        Some("thin") => Some(CallbackPayload::Thin),
        Some(_) => return Err(Problem::invalid_field("payload", "Unknown payload; expected one of full, thin.")),
    };
    let progress = json::flag(fields, "progress")?;
    let Some(url) = json::url(app, fields, "callback_url")? else {
        if payload.is_some() {
            return Err(Problem::invalid_field("payload", "Requires callback_url."));
        }
        if progress.is_some() {
            return Err(Problem::invalid_field("progress", "Requires callback_url."));
        }
        return Ok(None);
    };
    let progress = progress.unwrap_or_default().then(CallbackProgress::default);
    let payload = payload.unwrap_or_default();
    Ok(Some(Callback { payload, progress, base_url: base.as_str().to_owned(), ..Callback::new(url) }))
}

/// Parses a redaction policy. Each member is parsed by hand, so that a problem points to the invalid one.
fn parse_policy(value: &Value) -> Result<RedactPolicy, Problem> {
    let members = object(value, "redact", &["kinds", "patterns"])?;
    let kinds = array(members, "redact", "kinds")?;
    let patterns = array(members, "redact", "patterns")?;
    let mut policy = RedactPolicy::default();
    for (index, value) in kinds.iter().enumerate() {
        let found = RedactKind::ALL.into_iter().find(|kind| Some(kind.as_str()) == value.as_str());
        let Some(kind) = found else {
            let known = RedactKind::ALL.map(RedactKind::as_str).join(", ");
            let detail = format!("Unknown kind; expected one of {known}.");
            return Err(Problem::invalid_field(&format!("redact/kinds/{index}"), detail));
        };
        if !policy.kinds.contains(&kind) {
            policy.kinds.push(kind);
        }
    }
    for (index, value) in patterns.iter().enumerate() {
        policy.patterns.push(parse_pattern(value, &format!("redact/patterns/{index}"))?);
    }
    Ok(policy)
}

/// Validates a policy by compiling its patterns, which takes CPU time and therefore a blocking thread.
async fn validate_policy(policy: RedactPolicy) -> Result<RedactPolicy, Problem> {
    let compile = tokio::task::spawn_blocking(move || Redactor::new(&policy).map(|_| policy));
    Ok(compile.await.map_err(|error| Problem::internal(&error))??)
}

fn parse_pattern(value: &Value, pointer: &str) -> Result<RedactPattern, Problem> {
    let members = object(value, pointer, &["name", "regex"])?;
    Ok(RedactPattern {
        name: required_text(members, pointer, "name")?,
        regex: required_text(members, pointer, "regex")?,
    })
}

fn required_text(members: &Map<String, Value>, pointer: &str, name: &str) -> Result<String, Problem> {
    match members.get(name) {
        None | Some(Value::Null) => Err(Problem::missing_field(&format!("{pointer}/{name}"))),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Problem::invalid_field(&format!("{pointer}/{name}"), "Must be a string.")),
    }
}

fn object<'a>(value: &'a Value, pointer: &str, known: &[&str]) -> Result<&'a Map<String, Value>, Problem> {
    let members = value.as_object().ok_or_else(|| Problem::invalid_field(pointer, "Must be a JSON object."))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => {
            let escaped = unknown.replace('~', "~0").replace('/', "~1");
            Err(Problem::unknown_field(unknown, &known.join(", ")).at(format!("#/{pointer}/{escaped}")))
        }
        None => Ok(members),
    }
}

fn array<'a>(members: &'a Map<String, Value>, pointer: &str, name: &str) -> Result<&'a [Value], Problem> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(Problem::invalid_field(&format!("{pointer}/{name}"), "Must be an array.")),
    }
}
