//! Everything that is kept for a task goes, and the task last.

use quire_tasks::{DocumentSource, DocumentState, ObjectKey, Task};

use crate::{Backend, Collection, Error, Record, Result, retry_with_backoff};

/// As many records are looked at together.
const TOGETHER: usize = 100;

/// Removes all that is kept for a task, and the task itself: its documents, uploads, results and dead letters, its entries
/// for review, the log of its deliveries, and its records. First it is expired at the latest at the time that its record
/// says, so that nobody works on it any more. To be repeated where it was interrupted: until everything is gone, the task is
/// among the expired ones, if its time is over.
///
/// # Errors
/// Any [`Error`], after waiting them out in vain.
pub async fn purge(backend: &Backend, task: &Task) -> Result<()> {
    match retry_with_backoff(|| backend.tasks.expire(task.id, task.expires_at)).await {
        // It may be that only its table's records were removed in time: the rest is looked for all the same.
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    for prefix in ObjectKey::task_prefixes(task.id) {
        retry_with_backoff(|| backend.objects.erase(&prefix)).await?;
    }
    for (key, version) in uploads(task) {
        retry_with_backoff(|| backend.objects.erase_version(key, version)).await?;
    }
    clear_review(backend, task).await?;
    clear_deliveries(backend, task).await?;
    retry_with_backoff(|| backend.tasks.remove(task.id)).await
}

/// What its customer uploaded, under whatever keys: other uploads' keys may begin like these, and other versions of them
/// may be other tasks'.
fn uploads(task: &Task) -> impl Iterator<Item = (&str, Option<&str>)> {
    task.documents.iter().filter_map(|document| match (&document.state, &document.source) {
        (_, Some(DocumentSource::Inbox { key, version }))
        | (DocumentState::Pending { source: DocumentSource::Inbox { key, version } }, None) => {
            Some((key.as_str(), version.as_deref()))
        }
        _ => None,
    })
}

async fn clear_review(backend: &Backend, task: &Task) -> Result<()> {
    let prefix = format!("{}-", task.id);
    loop {
        let mut records =
            retry_with_backoff(|| backend.records.list(Collection::Review, Some(&prefix), TOGETHER)).await?;
        records.retain(|record| record.key.starts_with(&prefix));
        if records.is_empty() {
            return Ok(());
        }
        clear(backend, Collection::Review, records).await?;
    }
}

async fn clear_deliveries(backend: &Backend, task: &Task) -> Result<()> {
    let room = task.id.to_string();
    loop {
        let records =
            retry_with_backoff(|| backend.records.list_partition(Collection::Deliveries, &room, None, TOGETHER))
                .await?;
        if records.is_empty() {
            return Ok(());
        }
        clear(backend, Collection::Deliveries, records).await?;
    }
}

async fn clear(backend: &Backend, shelf: Collection, records: Vec<Record>) -> Result<()> {
    for record in records {
        retry_with_backoff(|| backend.records.delete(shelf, &record.key, None)).await?;
    }
    Ok(())
}
