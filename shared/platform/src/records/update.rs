//! Read-modify-write with optimistic concurrency.

use serde::{Serialize, de::DeserializeOwned};

use super::{Collection, Record, RecordStore};
use crate::{Error, Result, retry_with_backoff};

/// What an update does with a record.
#[derive(Debug)]
pub enum RecordUpdate<T, R> {
    /// Writes the value, and returns the result if no other writer was faster.
    Put {
        /// The new value.
        value: T,
        /// What [`update`] returns.
        result: R,
    },
    /// Writes nothing and returns the result.
    Keep(R),
}

/// How an update handles conflicts and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateOptions {
    /// The subject of errors, e.g. `records`.
    pub what: &'static str,
    /// How many times the record is read and written before the update fails. Each conflict means that another writer
    /// has made progress.
    pub attempts: usize,
    /// Whether transient errors are retried with backoff ([`retry_with_backoff`]). Otherwise they are returned at once,
    /// for callers that must answer quickly.
    pub retry_busy: bool,
}

/// Updates a record atomically: reads it, calls `change` with its value, or `None` if it does not exist, and writes the
/// new value on the condition that no other writer has changed the record. After a conflict, it starts again.
///
/// # Errors
/// [`Error::Busy`] after [`UpdateOptions::attempts`] conflicts, [`Error::Failed`] if the stored value cannot be parsed;
/// otherwise any error of the store.
pub async fn update<T, R>(
    records: &dyn RecordStore,
    collection: Collection,
    key: &str,
    options: UpdateOptions,
    mut change: impl FnMut(Option<T>) -> RecordUpdate<T, R>,
) -> Result<R>
where
    T: DeserializeOwned + Serialize,
{
    update_body(records, collection, key, options, |record| {
        let stored = match record {
            Some(record) => Some(deserialize(options.what, &record.body)?),
            None => None,
        };
        Ok(match change(stored) {
            RecordUpdate::Keep(result) => RecordUpdate::Keep(result),
            RecordUpdate::Put { value, result } => {
                RecordUpdate::Put { value: serialize(options.what, &value)?, result }
            }
        })
    })
    .await
}

/// As [`update`], with the record's body instead of its parsed value.
///
/// # Errors
/// As [`update`], and the errors of `change`.
pub async fn update_body<R>(
    records: &dyn RecordStore,
    collection: Collection,
    key: &str,
    options: UpdateOptions,
    mut change: impl FnMut(Option<&Record>) -> Result<RecordUpdate<String, R>>,
) -> Result<R> {
    for _ in 0..options.attempts {
        let record = read(records, collection, key, options).await?;
        let (body, result) = match change(record.as_ref())? {
            RecordUpdate::Keep(result) => return Ok(result),
            RecordUpdate::Put { value, result } => (value, result),
        };
        let expected_version = record.map(|record| record.version);
        if put(records, collection, key, options, body, expected_version).await? {
            return Ok(result);
        }
    }
    Err(Error::Busy { what: options.what, why: "too many conflicting updates".to_owned() })
}

/// Serializes a value as a record's body.
///
/// # Errors
/// [`Error::Failed`] if the value has no JSON form.
pub fn serialize<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Failed { what, why: error.to_string() })
}

fn deserialize<T: DeserializeOwned>(what: &'static str, body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|error| Error::Failed { what, why: error.to_string() })
}

async fn read(
    records: &dyn RecordStore,
    collection: Collection,
    key: &str,
    options: UpdateOptions,
) -> Result<Option<Record>> {
    if options.retry_busy {
        return retry_with_backoff(|| records.read(collection, key)).await;
    }
    records.read(collection, key).await
}

async fn put(
    records: &dyn RecordStore,
    collection: Collection,
    key: &str,
    options: UpdateOptions,
    body: String,
    expected_version: Option<u64>,
) -> Result<bool> {
    if options.retry_busy {
        return retry_with_backoff(|| records.put(collection, key, body.clone(), expected_version, None)).await;
    }
    records.put(collection, key, body, expected_version, None).await
}
