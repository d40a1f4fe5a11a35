//! Records as values, with optimistic concurrency.

use quire_platform::{Backend, Collection, Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Maximum attempts of a change that conflicts with other writers. In each conflict another writer succeeds.
const TRIES: usize = 20;

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
pub(crate) async fn change<T: DeserializeOwned + Serialize + Default>(
    backend: &Backend,
    on: Collection,
    key: &str,
    mut to: impl FnMut(T) -> T,
) -> Result<T> {
    for _ in 0..TRIES {
        let (before, seen) = read(backend, on, key).await?;
        let after = to(before);
        let body = written(&after)?;
        if backend.records.put(on, key, body, seen, None).await? {
            return Ok(after);
        }
    }
    Err(Error::Busy { what: "records", why: "too many concurrent changes to the same record".to_owned() })
}

pub(crate) fn parse<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|error| failed(&error))
}

pub(crate) fn written<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| failed(&error))
}

fn failed(error: &serde_json::Error) -> Error {
    Error::Failed { what: "records", why: error.to_string() }
}
