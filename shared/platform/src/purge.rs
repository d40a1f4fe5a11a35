//! Deletes everything that is stored for a task.

use quire_tasks::{DocumentSource, DocumentState, ObjectKey, Task};

use crate::{Backend, Collection, Error, Record, Result, retry_with_backoff};

/// Records listed in one call.
const BATCH: usize = 100;

/// Deletes a task and everything stored for it: documents, uploads, results, dead letters, review entries, the delivery
/// log and its rows. The task is expired first, so that no worker continues it, and its rows are deleted last.
/// Idempotent: an interrupted purge must be repeated, and until it is complete, the task is found among the expired
/// ones.
///
/// # Errors
/// Any [`Error`], after retries with backoff.
pub async fn purge(backend: &Backend, task: &Task) -> Result<()> {
    match retry_with_backoff(|| backend.tasks.expire(task.id, task.expires_at)).await {
        // The rows may have expired on their own; the rest must be deleted nevertheless.
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    for prefix in ObjectKey::task_prefixes(task.id) {
        retry_with_backoff(|| backend.objects.erase(&prefix)).await?;
    }
    for (key, version) in customer_uploads(task) {
        retry_with_backoff(|| backend.objects.erase_version(key, version)).await?;
    }
    delete_review_entries(backend, task).await?;
    delete_delivery_log(backend, task).await?;
    retry_with_backoff(|| backend.tasks.remove(task.id)).await
}

/// Returns the keys and versions of the customer's own uploads. They are deleted exactly, not by prefix: other keys may
/// begin like them, and other versions may belong to other tasks.
fn customer_uploads(task: &Task) -> impl Iterator<Item = (&str, Option<&str>)> {
    task.documents.iter().filter_map(|document| match (&document.state, &document.source) {
        (_, Some(DocumentSource::Inbox { key, version }))
        | (DocumentState::Pending { source: DocumentSource::Inbox { key, version } }, None) => {
            Some((key.as_str(), version.as_deref()))
        }
        _ => None,
    })
}

async fn delete_review_entries(backend: &Backend, task: &Task) -> Result<()> {
    let prefix = format!("{}-", task.id);
    loop {
        let mut records = retry_with_backoff(|| backend.records.list(Collection::Review, Some(&prefix), BATCH)).await?;
        records.retain(|record| record.key.starts_with(&prefix));
        if records.is_empty() {
            return Ok(());
        }
        delete_records(backend, Collection::Review, records).await?;
    }
}

async fn delete_delivery_log(backend: &Backend, task: &Task) -> Result<()> {
    let partition = task.id.to_string();
    loop {
        let records =
            retry_with_backoff(|| backend.records.list_partition(Collection::Deliveries, &partition, None, BATCH))
                .await?;
        if records.is_empty() {
            return Ok(());
        }
        delete_records(backend, Collection::Deliveries, records).await?;
    }
}

async fn delete_records(backend: &Backend, collection: Collection, records: Vec<Record>) -> Result<()> {
    for record in records {
        retry_with_backoff(|| backend.records.delete(collection, &record.key, None)).await?;
    }
    Ok(())
}
