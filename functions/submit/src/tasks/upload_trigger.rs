//! The upload trigger: turns S3 events of uploaded objects into tasks, or into the document of an announced task.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use quire_platform::{Backend, Error, now, retry_with_backoff};
use quire_routes::Config;
use quire_tasks::{Document, DocumentSource, DocumentState, ObjectKey, ReadAs, Task, TaskId, Tenant};
use serde::Deserialize;
use tracing::{error, info, warn};

use crate::tasks::{
    create_task::log_accepted,
    dispatch::{PagesToSend, dispatch, pending_documents, send_documents},
    file_name::sanitize_file_name,
    options::ReadOptions,
    routing::Routing,
    trace::new_trace,
};

/// An S3 event notification. The test event that S3 sends on configuration has no records.
#[derive(Debug, Default, Deserialize)]
pub struct UploadEvent {
    #[serde(rename = "Records", default)]
    records: Vec<S3Record>,
}

#[derive(Debug, Deserialize)]
struct S3Record {
    s3: S3Entity,
}

#[derive(Debug, Deserialize)]
struct S3Entity {
    bucket: S3Bucket,
    object: S3Object,
}

#[derive(Debug, Deserialize)]
struct S3Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Object {
    key: String,
    version_id: Option<String>,
    e_tag: Option<String>,
    sequencer: Option<String>,
}

impl S3Object {
    /// Decodes the key, which is form-encoded in events, i.e. with `+` for a space.
    fn key(&self) -> Result<String> {
        let spaced = self.key.replace('+', " ");
        let key = percent_decode_str(&spaced).decode_utf8().context("the object key is not UTF-8")?;
        Ok(key.into_owned())
    }

    /// Returns what distinguishes this object from others with the same key: its version, or without versioning its
    /// `ETag` and sequencer.
    fn identity(&self) -> [&str; 2] {
        match self.version() {
            Some(version) => ["version", version],
            None => [self.e_tag.as_deref().unwrap_or_default(), self.sequencer.as_deref().unwrap_or_default()],
        }
    }

    fn version(&self) -> Option<&str> {
        // In a bucket with suspended versioning, the version id is the string `null`.
        self.version_id.as_deref().filter(|version| !version.is_empty() && *version != "null")
    }
}

/// Creates a task for each uploaded object, or starts the ingest of an announced upload. Idempotent: S3 may deliver an
/// event twice, and the same object has the same task id.
///
/// # Errors
/// If an object fails. The others are processed, and the event may be retried.
pub async fn handle_upload_event(
    backend: &Backend,
    routes: &Arc<Config>,
    event: UploadEvent,
    callback_url: Option<&str>,
) -> Result<()> {
    let routing = Routing::new(Arc::clone(routes));
    let mut failed = 0;
    for S3Record { s3: S3Entity { bucket, object } } in event.records {
        if let Err(error) = handle_object(backend, &routing, &bucket.name, &object, callback_url).await {
            failed += 1;
            let error = format!("{error:#}");
            error!(error, "cannot process an upload");
        }
    }
    if failed > 0 {
        bail!("cannot process {failed} uploads");
    }
    Ok(())
}

async fn handle_object(
    backend: &Backend,
    routing: &Routing,
    bucket: &str,
    object: &S3Object,
    callback_url: Option<&str>,
) -> Result<()> {
    let key = object.key()?;
    if !key.starts_with(ObjectKey::INBOX) || key.ends_with('/') {
        // A folder created in the console, or an event beyond the configured prefix.
        return Ok(());
    }
    match ObjectKey::inbox_task(&key) {
        Some(task_id) => ingest_announced(backend, task_id).await,
        None => create_unannounced(backend, routing, bucket, key, object, callback_url).await,
    }
}

/// Starts the ingest of a task that waits for this upload.
async fn ingest_announced(backend: &Backend, task_id: TaskId) -> Result<()> {
    match retry_with_backoff(|| backend.tasks.task(task_id)).await {
        Ok(task) => {
            let trace = task.trace.map(|trace| trace.trace_id());
            info!(task.id = %task_id, trace.id = trace, "announced upload received");
            Ok(send_documents(backend, &task, pending_documents(&task)).await?)
        }
        Err(Error::NotFound { .. }) => {
            warn!(task.id = %task_id, "ignoring an upload for an unknown task");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Creates a task for an object that was uploaded without announcing it.
async fn create_unannounced(
    backend: &Backend,
    routing: &Routing,
    bucket: &str,
    key: String,
    object: &S3Object,
    callback_url: Option<&str>,
) -> Result<()> {
    let [kind, version] = object.identity();
    let id = TaskId::derive_from(&["upload", bucket, &key, kind, version]);
    let name = Some(sanitize_file_name(&key)).filter(|name| !name.is_empty());
    let source = DocumentSource::Inbox { key, version: object.version().map(str::to_owned) };
    let document = Document::new(1, name, DocumentState::Pending { source });
    let callback_url = callback_url.map(str::to_owned);
    let read_as = assign_text(backend, routing, id).await?;
    let task = Task::new(id, Tenant::default(), now(), vec![document], callback_url).with_read_as(read_as);
    let task = task.with_trace(new_trace());
    let completion = retry_with_backoff(|| backend.tasks.create(task.clone())).await?;
    let task = completion.task();
    if completion.changed() {
        log_accepted(task);
    }
    // An existing task may lack its messages because the invocation that created it crashed.
    if task.dispatched { Ok(()) } else { Ok(dispatch(backend, task, PagesToSend::Queued).await?) }
}

/// Assigns the task to an engine for plain text, the default mode. If no engine supports that, the task is created
/// anyway and its pages fail, since only the receiver of the callback can be notified.
async fn assign_text(backend: &Backend, routing: &Routing, id: TaskId) -> Result<ReadAs> {
    let assigned = retry_with_backoff(|| routing.assign(backend, id, ReadOptions::default())).await?;
    Ok(assigned.unwrap_or_else(|refused| {
        warn!(task.id = %id, %refused, "no engine can read an upload as text");
        ReadAs::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: serde_json::Value) -> S3Object {
        serde_json::from_value(json).expect("an object")
    }

    #[test]
    fn an_object_key_is_form_decoded() {
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
    fn an_identity_is_the_version_or_else_etag_and_sequencer() {
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
    fn a_test_event_has_no_records() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b"}"#;
        assert!(serde_json::from_str::<UploadEvent>(test).expect("an event").records.is_empty());
    }
}
