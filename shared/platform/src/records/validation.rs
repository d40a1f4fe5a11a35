//! The rules for keys, bodies and versions that every store follows.

use uuid::Uuid;

use super::Collection;
use crate::{Error, Result};

/// Far below the 1,024 bytes of a `DynamoDB` sort key, and enough for every name that is used as a key.
const MAX_KEY_BYTES: usize = 256;
/// Far below the 400 KB of a `DynamoDB` item, whose writes are billed by the kilobyte. Larger values are objects.
const MAX_BODY_BYTES: usize = 128 * 1024;

/// Returns a version that no record has had before. It fits an `i64`.
pub fn new_version() -> u64 {
    // Without the two variant bits of the UUID, which are constant (RFC 9562, section 4.1).
    Uuid::now_v7().as_u64_pair().1 & (u64::MAX >> 2)
}

/// Checks that every store accepts the key in this collection.
///
/// # Errors
/// [`Error::Failed`] if not: the key is not 1 to 256 visible ASCII characters, or has no partition where it needs one.
pub fn validate_key(collection: Collection, key: &str) -> Result<()> {
    let is_valid = (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_valid {
        return Err(invalid(format!("a key must be 1 to {MAX_KEY_BYTES} visible ASCII characters")));
    }
    let has_partition = key.split_once('/').is_some_and(|(partition, rest)| !partition.is_empty() && !rest.is_empty());
    if collection.is_partitioned() && !has_partition {
        return Err(invalid(format!("a key in the collection {} must be PARTITION/NAME", collection.as_str())));
    }
    Ok(())
}

/// Checks that the whole collection can be listed, starting after the key `after`.
///
/// # Errors
/// [`Error::Failed`] if the collection is partitioned or `after` is not a valid key.
pub fn validate_list(collection: Collection, after: Option<&str>) -> Result<()> {
    if collection.is_partitioned() {
        let name = collection.as_str();
        return Err(invalid(format!("the collection {name} is partitioned: list one partition at a time")));
    }
    after.map_or(Ok(()), |after| validate_key(collection, after))
}

/// Returns the prefix of the keys of a partition.
///
/// # Errors
/// [`Error::Failed`] if the partition's name or the key `after` is invalid.
pub fn partition_prefix(collection: Collection, partition: &str, after: Option<&str>) -> Result<String> {
    let prefix = format!("{partition}/");
    // The shortest key of the partition must be valid.
    validate_key(collection, &format!("{prefix}-"))?;
    if partition.is_empty() || partition.contains('/') {
        return Err(invalid("a partition's name must not be empty or contain /".to_owned()));
    }
    after.map_or(Ok(()), |after| validate_key(collection, after))?;
    Ok(prefix)
}

/// Returns the first text after all keys with a partition's prefix: `0` follows `/` in ASCII.
pub fn partition_end(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

/// Checks that every store accepts the body.
///
/// # Errors
/// [`Error::Failed`] if it is too large.
pub fn validate_body(body: &str) -> Result<()> {
    if body.len() <= MAX_BODY_BYTES {
        return Ok(());
    }
    Err(invalid(format!("a body must be at most {MAX_BODY_BYTES} bytes")))
}

fn invalid(why: String) -> Error {
    Error::Failed { what: "records", why }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn versions_are_unique_and_fit_an_i64() {
        let versions: BTreeSet<u64> = (0..10_000).map(|_| new_version()).collect();
        assert_eq!(versions.len(), 10_000);
        assert!(versions.iter().all(|&version| i64::try_from(version).is_ok()));
    }
}
