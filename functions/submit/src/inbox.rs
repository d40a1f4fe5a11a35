//! What customers put into the store themselves: the store tells of it, and it becomes a task, or part of one.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use quire_platform::{Backend, Error, retry_with_backoff};
use quire_routes::Config;
use quire_tasks::{Document, DocumentSource, DocumentState, ObjectKey, ReadAs, Task, TaskId, Tenant};
use serde::Deserialize;
use tracing::{error, info, warn};

use crate::{
    Wanted,
    accept::{log, now},
    dispatch::{dispatch, pending, send_documents},
    form::plain_name,
    routing::Routing,
    trace,
};

/// What the store tells. A test of the connection has no records.
#[derive(Debug, Default, Deserialize)]
pub struct StoreEvent {
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    s3: Stored,
}

#[derive(Debug, Deserialize)]
struct Stored {
    bucket: Bucket,
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    version_id: Option<String>,
    e_tag: Option<String>,
    sequencer: Option<String>,
}

impl Object {
    /// As the store has it: events carry it as a form would, with `+` for a space.
    fn key(&self) -> Result<String> {
        let spaced = self.key.replace('+', " ");
        let key = percent_decode_str(&spaced).decode_utf8().context("a key is not UTF-8")?;
        Ok(key.into_owned())
    }

    /// What tells this object from another that lay, or will lie, under the same key: its version, where the store keeps
    /// versions; otherwise its content, and the place of its writing among all of this key.
    fn identity(&self) -> [&str; 2] {
        match self.version() {
            Some(version) => ["version", version],
            None => [self.e_tag.as_deref().unwrap_or_default(), self.sequencer.as_deref().unwrap_or_default()],
        }
    }

    fn version(&self) -> Option<&str> {
        // A bucket whose versions were switched off calls every later one so.
        self.version_id.as_deref().filter(|version| !version.is_empty() && *version != "null")
    }
}

/// Makes tasks of what was uploaded, and has documents fetched whose upload was announced. The same event may come
/// twice: the same object makes the same task.
///
/// # Errors
/// When one of the objects could not be taken in; the others were, and the event may come again.
pub async fn take_uploads(
    backend: &Backend,
    routes: &Arc<Config>,
    event: StoreEvent,
    callback_url: Option<&str>,
) -> Result<()> {
    let routing = Routing::new(Arc::clone(routes));
    let mut failed = 0;
    for Record { s3: Stored { bucket, object } } in event.records {
        if let Err(error) = take_upload(backend, &routing, &bucket.name, &object, callback_url).await {
            failed += 1;
            let error = format!("{error:#}");
            error!(error, "an upload could not be taken in");
        }
    }
    if failed > 0 {
        bail!("{failed} uploads could not be taken in");
    }
    Ok(())
}

async fn take_upload(
    backend: &Backend,
    routing: &Routing,
    bucket: &str,
    object: &Object,
    callback_url: Option<&str>,
) -> Result<()> {
    let key = object.key()?;
    if !key.starts_with(ObjectKey::INBOX) || key.ends_with('/') {
        // Folders that a console makes, and a store that tells of more than it was asked for.
        return Ok(());
    }
    match ObjectKey::inbox_task(&key) {
        Some(task_id) => announced(backend, task_id).await,
        None => unannounced(backend, routing, bucket, key, object, callback_url).await,
    }
}

/// The upload of a task that waits for it.
async fn announced(backend: &Backend, task_id: TaskId) -> Result<()> {
    match retry_with_backoff(|| backend.tasks.task(task_id)).await {
        Ok(task) => {
            let trace = task.trace.map(|trace| trace.trace_id());
            info!(task.id = %task_id, trace.id = trace, "the announced upload has come");
            Ok(send_documents(backend, &task, pending(&task)).await?)
        }
        Err(Error::NotFound { .. }) => {
            warn!(task.id = %task_id, "an upload for a task that there is not is ignored");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// An object that somebody put there without a word.
async fn unannounced(
    backend: &Backend,
    routing: &Routing,
    bucket: &str,
    key: String,
    object: &Object,
    callback_url: Option<&str>,
) -> Result<()> {
    let [kind, version] = object.identity();
    let id = TaskId::derive_from(&["upload", bucket, &key, kind, version]);
    let name = Some(plain_name(&key)).filter(|name| !name.is_empty());
    let source = DocumentSource::Inbox { key, version: object.version().map(str::to_owned) };
    let document = Document::new(1, name, DocumentState::Pending { source });
    let callback_url = callback_url.map(str::to_owned);
    let read_as = text(backend, routing, id).await?;
    let task = Task::new(id, Tenant::default(), now(), vec![document], callback_url).with_read_as(read_as);
    let task = task.with_trace(trace::new());
    let completion = retry_with_backoff(|| backend.tasks.create(task.clone())).await?;
    let task = completion.task();
    if completion.changed() {
        log(task);
    }
    // Of a task that is there already, whoever made it may have died before this.
    if task.dispatched { Ok(()) } else { Ok(dispatch(backend, task, Vec::new()).await?) }
}

/// Nobody has said how it is to be read, so it is read as text. Where no engine does that, there is nobody to tell but
/// the receiver of the callback: the task is made all the same, and its pages fail.
async fn text(backend: &Backend, routing: &Routing, id: TaskId) -> Result<ReadAs> {
    let assigned = retry_with_backoff(|| routing.assign(backend, id, Wanted::default())).await?;
    Ok(assigned.unwrap_or_else(|refused| {
        warn!(task.id = %id, %refused, "an upload cannot be read as text");
        ReadAs::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: serde_json::Value) -> Object {
        serde_json::from_value(json).expect("an object")
    }

    #[test]
    fn a_key_is_decoded_as_the_store_encodes_it() {
        for (encoded, key) in [
            ("inbox/two+words.pdf", "inbox/two words.pdf"),
            ("inbox/a%2Bb%26c%3Dd.pdf", "inbox/a+b&c=d.pdf"),
            ("inbox/%E7%99%BC%E7%A5%A8.pdf", "inbox/發票.pdf"),
            ("inbox/100%25.pdf", "inbox/100%.pdf"),
        ] {
            assert_eq!(object(serde_json::json!({"key": encoded})).key().expect("a key"), key);
        }
        assert!(object(serde_json::json!({"key": "inbox/%FF"})).key().is_err());
    }

    #[test]
    fn a_version_is_the_store_s_or_else_what_was_written_when() {
        let versioned = object(serde_json::json!({"key": "k", "versionId": "v1", "eTag": "e", "sequencer": "7"}));
        assert_eq!((versioned.identity(), versioned.version()), (["version", "v1"], Some("v1")));
        for plain in [
            serde_json::json!({"key": "k", "eTag": "e", "sequencer": "7"}),
            serde_json::json!({"key": "k", "versionId": "null", "eTag": "e", "sequencer": "7"}),
        ] {
            let plain = object(plain);
            assert_eq!((plain.identity(), plain.version()), (["e", "7"], None));
        }
    }

    #[test]
    fn a_test_of_the_connection_is_an_event_without_records() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b"}"#;
        assert!(serde_json::from_str::<StoreEvent>(test).expect("an event").records.is_empty());
    }
}
