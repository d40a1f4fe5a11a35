//! Records as values, with optimistic concurrency.

use quire_platform::{
    Backend, Collection, Error, Result,
    records::{self, RecordUpdate, UpdateOptions},
};
use serde::{Serialize, de::DeserializeOwned};

/// Options of a record's update. In each conflict another writer succeeds. Transient errors are returned at once, since
/// a request waits for the response.
const UPDATE: UpdateOptions = UpdateOptions { what: "records", attempts: 20, retry_busy: false };

/// Returns a record's value and version. Default: the default value, without a version.
pub(crate) async fn read<T: DeserializeOwned + Default>(
    backend: &Backend,
    on: Collection,
    key: &str,
) -> Result<(T, Option<u64>)> {
    let Some(record) = backend.records.read(on, key).await? else { return Ok((T::default(), None)) };
    Ok((parse(&record.body)?, Some(record.version)))
}

/// Changes a record and returns its new value.
pub(crate) async fn change<T: Clone + DeserializeOwned + Serialize + Default>(
    backend: &Backend,
    on: Collection,
    key: &str,
    mut to: impl FnMut(T) -> T,
) -> Result<T> {
    records::update(backend.records.as_ref(), on, key, UPDATE, |stored: Option<T>| {
        let value = to(stored.unwrap_or_default());
        RecordUpdate::Put { value: value.clone(), result: value }
    })
    .await
}

/// Changes a record unless the change is refused. Returns its new value, or why it was refused.
pub(crate) async fn try_change<T: Clone + DeserializeOwned + Serialize + Default, E>(
    backend: &Backend,
    on: Collection,
    key: &str,
    mut to: impl FnMut(T) -> std::result::Result<T, E>,
) -> Result<std::result::Result<T, E>> {
    records::update(backend.records.as_ref(), on, key, UPDATE, |stored: Option<T>| {
        match to(stored.unwrap_or_default()) {
            Ok(value) => RecordUpdate::Put { value: value.clone(), result: Ok(value) },
            Err(refused) => RecordUpdate::Keep(Err(refused)),
        }
    })
    .await
}

pub(crate) fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|error| failed(&error))
}

pub(crate) fn written<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| failed(&error))
}

/// Returns whether a value is the default, which need not be stored.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn failed(error: &serde_json::Error) -> Error {
    Error::Failed { what: "records", why: error.to_string() }
}
