//! Records: small JSON values beside the tasks, shared by operators, workers and the API.
//!
//! A [`Collection`] holds the records of one kind. Records are read consistently and replaced by optimistic
//! concurrency: [`RecordStore::put`] fails if the record's version has changed, and [`update`] retries the whole
//! read-modify-write.

use std::fmt::Debug;

use async_trait::async_trait;
use quire_tasks::UnixMillis;

use crate::Result;

mod update;
mod validation;

pub use update::{RecordUpdate, UpdateOptions, serialize, update, update_body};
pub use validation::{new_version, partition_end, partition_prefix, validate_body, validate_key, validate_list};

/// The records of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// Operators' decisions about engines.
    Engines,
    /// Workers' reports about engines.
    Reports,
    /// Pages that wait for a person's review.
    Review,
    /// API keys.
    Keys,
    /// Tenants' limits.
    Tenants,
    /// Rate limit state: the used part of the limits. Partitioned.
    Limits,
    /// Idempotency records: requests that may be repeated. Partitioned.
    Idempotency,
    /// The log of webhook delivery attempts. Partitioned.
    Deliveries,
    /// Webhook endpoints that fail or are disabled.
    Endpoints,
    /// Metadata of the webhook signing secrets.
    Webhooks,
}

impl Collection {
    /// All collections.
    pub const ALL: [Self; 10] = [
        Self::Engines,
        Self::Reports,
        Self::Review,
        Self::Keys,
        Self::Tenants,
        Self::Limits,
        Self::Idempotency,
        Self::Deliveries,
        Self::Endpoints,
        Self::Webhooks,
    ];

    /// Returns the stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engines => "engines",
            Self::Reports => "reports",
            Self::Review => "review",
            Self::Keys => "keys",
            Self::Tenants => "tenants",
            Self::Limits => "limits",
            Self::Idempotency => "idempotency",
            Self::Deliveries => "deliveries",
            Self::Endpoints => "endpoints",
            Self::Webhooks => "webhooks",
        }
    }

    /// Returns whether the records are partitioned: their keys are `partition/rest`, and only one partition at a time
    /// can be listed. Collections that are written by every request are partitioned, since one `DynamoDB` partition
    /// would be too small for them.
    pub const fn is_partitioned(self) -> bool {
        matches!(self, Self::Limits | Self::Idempotency | Self::Deliveries)
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key: 1 to 256 visible ASCII characters, unique in its collection.
    pub key: String,
    /// Identifies this write of the record. Versions are unordered and never reused, not even after a deletion.
    pub version: u64,
    /// The value, as JSON of at most 128 KiB.
    pub body: String,
}

/// A store of records with consistent reads. An expired record does not exist, by the store's clock.
#[async_trait]
pub trait RecordStore: Debug + Send + Sync {
    /// Returns the record, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] if the key is invalid; otherwise any.
    async fn read(&self, collection: Collection, key: &str) -> Result<Option<Record>>;

    /// Writes the record if its version still is `expected_version`, or, if that is `None`, if it does not exist.
    /// Returns whether it was written. Note: `false` may also follow an earlier attempt of the same call whose response
    /// was lost.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] if the key is invalid or the body too large; otherwise any.
    async fn put(
        &self,
        collection: Collection,
        key: &str,
        body: String,
        expected_version: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool>;

    /// Writes the record unconditionally.
    ///
    /// # Errors
    /// As [`RecordStore::put`].
    async fn set(&self, collection: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()>;

    /// Deletes the record if its version still is `expected_version`, or, if that is `None`, whatever its version.
    /// Returns whether it was deleted.
    ///
    /// # Errors
    /// As [`RecordStore::read`].
    async fn delete(&self, collection: Collection, key: &str, expected_version: Option<u64>) -> Result<bool>;

    /// Returns up to `limit` records in key order, starting after the key `after`, which need not exist.
    ///
    /// # Errors
    /// As [`RecordStore::read`]; [`crate::Error::Failed`] if the collection is partitioned: use
    /// [`RecordStore::list_partition`].
    async fn list(&self, collection: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>>;

    /// Returns up to `limit` records whose keys begin with `partition` and `/`, in key order, starting after the key
    /// `after`, which need not exist.
    ///
    /// # Errors
    /// As [`RecordStore::read`]; [`crate::Error::Failed`] if the partition's name is empty or contains `/`.
    async fn list_partition(
        &self,
        collection: Collection,
        partition: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>>;
}
