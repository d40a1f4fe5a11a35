//! What a request says of its task besides how it is read: how long it is kept, what it is called, what is taken out of
//! it, and how its end is told.

use std::time::Duration;

use quire_redact::Redactor;
use quire_tasks::{
    Callback, CallbackPayload, CallbackProgress, DEFAULT_RETENTION, MAX_RETENTION, MIN_RETENTION, RedactKind,
    RedactPattern, RedactPolicy, Task,
};
use serde_json::{Map, Value};

use crate::{Door, json, link::Base, problem::Problem};

/// The most tags of a task.
pub(crate) const MAX_TAGS: usize = 10;
/// The longest of them.
pub(crate) const MAX_TAG_CHARS: usize = 64;

const HOUR: Duration = Duration::from_hours(1);

/// The options of a task.
#[derive(Debug)]
pub(crate) struct Options {
    tags: Vec<String>,
    retention: Duration,
    redact: Option<RedactPolicy>,
    callback: Option<Callback>,
}

impl Default for Options {
    fn default() -> Self {
        Self { tags: Vec::new(), retention: DEFAULT_RETENTION, redact: None, callback: None }
    }
}

impl Options {
    /// What the fields of a request say; `null` is as good as nothing.
    pub(crate) async fn of(door: &Door, base: &Base, fields: &Map<String, Value>) -> Result<Self, Problem> {
        let (tags, retention, callback) = (tags(fields)?, retention(fields)?, callback(door, base, fields)?);
        let redact = match json::value(fields, "redact") {
            Some(said) => Some(compiled(policy(said)?).await?),
            None => None,
        };
        Ok(Self { tags, retention, redact, callback })
    }

    /// The task with these options.
    pub(crate) fn of_task(self, task: Task) -> Task {
        let task = task.with_retention(self.retention).with_tags(self.tags).with_redaction(self.redact);
        Task { callback: self.callback, ..task }
    }
}

fn tags(fields: &Map<String, Value>) -> Result<Vec<String>, Problem> {
    let tags = json::texts(fields, "tags")?;
    if tags.len() > MAX_TAGS {
        return Err(Problem::invalid_field("tags", format!("A task has at most {MAX_TAGS} tags.")));
    }
    let good = |tag: &str| {
        let chars = tag.chars().count();
        (1..=MAX_TAG_CHARS).contains(&chars) && !tag.chars().any(char::is_control) && !tag.trim().is_empty()
    };
    match tags.iter().position(|tag| !good(tag)) {
        Some(wrong) => {
            let detail = format!("A tag is a text of 1 to {MAX_TAG_CHARS} characters without line breaks.");
            Err(Problem::invalid_field(&format!("tags/{wrong}"), detail))
        }
        None => Ok(tags),
    }
}

fn retention(fields: &Map<String, Value>) -> Result<Duration, Problem> {
    let Some(said) = json::value(fields, "retention_hours") else { return Ok(DEFAULT_RETENTION) };
    let hours = |duration: Duration| duration.as_secs() / HOUR.as_secs();
    let (shortest, longest) = (hours(MIN_RETENTION), hours(MAX_RETENTION));
    let taken = said.as_u64().filter(|hours| (shortest..=longest).contains(hours));
    taken.map(Duration::from_hours).ok_or_else(|| {
        let detail = format!("The field is no whole number from {shortest} to {longest}.");
        Problem::invalid_field("retention_hours", detail)
    })
}

fn callback(door: &Door, base: &Base, fields: &Map<String, Value>) -> Result<Option<Callback>, Problem> {
    let payload = match json::text(fields, "payload")? {
        None => None,
        Some("full") => Some(CallbackPayload::Full),
        Some("thin") => Some(CallbackPayload::Thin),
        Some(_) => return Err(Problem::invalid_field("payload", "There is no such payload; there are full and thin.")),
    };
    let progress = match json::value(fields, "progress") {
        None => None,
        Some(Value::Bool(wanted)) => Some(*wanted),
        Some(_) => return Err(Problem::invalid_field("progress", "The field is neither true nor false.")),
    };
    let Some(url) = json::url(door, fields, "callback_url")? else {
        let said = [("payload", payload.is_some()), ("progress", progress.is_some())];
        return match said.into_iter().find(|(_, said)| *said) {
            Some((name, _)) => Err(Problem::invalid_field(name, "The field has no use without a callback_url.")),
            None => Ok(None),
        };
    };
    let progress = progress.unwrap_or_default().then(CallbackProgress::default);
    let payload = payload.unwrap_or_default();
    Ok(Some(Callback { payload, progress, base_url: base.as_str().to_owned(), ..Callback::new(url) }))
}

/// A policy as it was sent. Its members are looked at one by one, so that a problem names the one at fault.
fn policy(said: &Value) -> Result<RedactPolicy, Problem> {
    let members = object(said, "redact", &["kinds", "patterns"])?;
    let kinds = array(members, "redact", "kinds")?;
    let patterns = array(members, "redact", "patterns")?;
    let mut policy = RedactPolicy::default();
    for (place, said) in kinds.iter().enumerate() {
        let found = RedactKind::ALL.into_iter().find(|kind| Some(kind.as_str()) == said.as_str());
        let kind = found.ok_or_else(|| {
            let known = RedactKind::ALL.map(RedactKind::as_str).join(", ");
            Problem::invalid_field(&format!("redact/kinds/{place}"), format!("There are {known}."))
        })?;
        if !policy.kinds.contains(&kind) {
            policy.kinds.push(kind);
        }
    }
    for (place, said) in patterns.iter().enumerate() {
        policy.patterns.push(pattern(said, &format!("redact/patterns/{place}"))?);
    }
    Ok(policy)
}

/// The policy, if it is one. Compiling a customer's patterns takes a processor for a while.
async fn compiled(policy: RedactPolicy) -> Result<RedactPolicy, Problem> {
    let compile = tokio::task::spawn_blocking(move || Redactor::new(&policy).map(|_| policy));
    Ok(compile.await.map_err(|error| Problem::internal(&error))??)
}

fn pattern(said: &Value, place: &str) -> Result<RedactPattern, Problem> {
    let members = object(said, place, &["name", "regex"])?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Err(Problem::missing_field(&format!("{place}/{name}"))),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Problem::invalid_field(&format!("{place}/{name}"), "The field is no string.")),
    };
    Ok(RedactPattern { name: text("name")?, regex: text("regex")? })
}

fn object<'a>(said: &'a Value, place: &str, known: &[&str]) -> Result<&'a Map<String, Value>, Problem> {
    let members = said.as_object().ok_or_else(|| Problem::invalid_field(place, "The field is no JSON object."))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => {
            let escaped = unknown.replace('~', "~0").replace('/', "~1");
            Err(Problem::unknown_field(unknown, &known.join(", ")).at(format!("#/{place}/{escaped}")))
        }
        None => Ok(members),
    }
}

fn array<'a>(members: &'a Map<String, Value>, place: &str, name: &str) -> Result<&'a [Value], Problem> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(Problem::invalid_field(&format!("{place}/{name}"), "The field is no array.")),
    }
}
