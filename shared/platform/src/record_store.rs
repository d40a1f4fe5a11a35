//! Small records beside the tasks: what operators and workers write down for each other.

use std::fmt::Debug;

use async_trait::async_trait;
use quire_tasks::UnixMillis;
use uuid::Uuid;

use crate::{Error, Result};

const WHAT: &str = "records";
/// Far below the 1,024 bytes that DynamoDB takes, and enough for a name of anything that we name.
const LONGEST_KEY: usize = 256;
/// Far below the 400 kB that DynamoDB takes for an item, and paid for by the kilobyte: what is larger is an object.
const LONGEST_BODY: usize = 128 * 1024;

/// Records of one kind lie on one shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// What is decided about engines.
    Engines,
    /// What workers tell of engines.
    Reports,
    /// Pages that somebody is to look at.
    Review,
    /// Who may call.
    Keys,
    /// What tenants are allowed.
    Tenants,
    /// How much of that they have used. Spread.
    Limits,
    /// What was answered to requests that may come twice. Spread.
    Idempotency,
    /// How attempts at callbacks went. Spread.
    Deliveries,
    /// Receivers of callbacks with which something is wrong.
    Endpoints,
    /// What is known of the secrets that callbacks are signed with.
    Webhooks,
}

impl Collection {
    /// All of them.
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

    /// The name, as it is stored.
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

    /// Whether its records are spread over rooms that lie apart: keys are `room/rest` there, and only one room at a time is
    /// listed. What is written at every request would be too much for one place.
    pub const fn is_spread(self) -> bool {
        matches!(self, Self::Limits | Self::Idempotency | Self::Deliveries)
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name on its shelf: 1 to 256 visible ASCII characters.
    pub key: String,
    /// Names this writing of it. Versions are in no order, and none is ever used twice, not even when the record was
    /// deleted in between.
    pub version: u64,
    /// What it says, as JSON: up to 128 KiB.
    pub body: String,
}

/// Records, read consistently. One that has expired is not there, by the store's own clock.
#[async_trait]
pub trait RecordStore: Debug + Send + Sync {
    /// The record, where there is one.
    ///
    /// # Errors
    /// [`Error::Failed`] where this can be no key; otherwise any.
    async fn read(&self, on: Collection, key: &str) -> Result<Option<Record>>;

    /// Writes the record, where it still is of the version `seen`, or, where that is `None`, where there is none; whether
    /// it did. If not, somebody else was faster; perhaps an earlier try of the same call, whose answer was lost.
    ///
    /// # Errors
    /// [`Error::Failed`] where this can be no key or the body is too large; otherwise any.
    async fn put(
        &self,
        on: Collection,
        key: &str,
        body: String,
        seen: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool>;

    /// Writes the record, whatever was there.
    ///
    /// # Errors
    /// As [`RecordStore::put`].
    async fn set(&self, on: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()>;

    /// Deletes the record, where it still is of the version `seen`, or, where that is `None`, whatever its version;
    /// whether it did.
    ///
    /// # Errors
    /// As [`RecordStore::read`].
    async fn delete(&self, on: Collection, key: &str, seen: Option<u64>) -> Result<bool>;

    /// Up to `limit` records of a shelf, in the order of their keys, from the first behind `after`, which need not be
    /// there itself. Of a spread shelf, nobody can say: see [`RecordStore::list_partition`].
    ///
    /// # Errors
    /// As [`RecordStore::read`]; also of a spread shelf.
    async fn list(&self, on: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>>;

    /// Up to `limit` records of a shelf whose keys begin with `room` and `/`, in the order of their keys, from the first
    /// behind the key `after`, which need not be there itself.
    ///
    /// # Errors
    /// As [`RecordStore::read`]; a room's name holds no `/`.
    async fn list_partition(
        &self,
        on: Collection,
        room: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>>;
}

/// A version that nothing has had before. It fits an `i64`.
pub(crate) fn new_version() -> u64 {
    // The two bits that say which kind of UUID it is are left out.
    Uuid::now_v7().as_u64_pair().1 & (u64::MAX >> 2)
}

/// Refuses what some backend would not take as a key on this shelf.
pub(crate) fn check_key(on: Collection, key: &str) -> Result<()> {
    let good = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !good {
        return Err(refused(format!("a key is 1 to {LONGEST_KEY} visible ASCII characters")));
    }
    let in_a_room = key.split_once('/').is_some_and(|(room, rest)| !room.is_empty() && !rest.is_empty());
    if on.is_spread() && !in_a_room {
        return Err(refused(format!("a key on the shelf of {} is a room, / and a name", on.as_str())));
    }
    Ok(())
}

/// Refuses what some backend cannot list as a whole, or not from there on.
pub(crate) fn check_list(on: Collection, after: Option<&str>) -> Result<()> {
    if on.is_spread() {
        return Err(refused(format!("the shelf of {} is listed by rooms", on.as_str())));
    }
    after.map_or(Ok(()), |after| check_key(on, after))
}

/// What the keys of a room begin with; refuses what is no room, or no key in it.
pub(crate) fn check_room(on: Collection, room: &str, after: Option<&str>) -> Result<String> {
    let prefix = format!("{room}/");
    // As long as some key in it can be, and with a room that has a name.
    check_key(on, &format!("{prefix}-"))?;
    if room.is_empty() || room.contains('/') {
        return Err(refused("a room's name is not empty and holds no /".to_owned()));
    }
    after.map_or(Ok(()), |after| check_key(on, after))?;
    Ok(prefix)
}

/// Refuses what some backend would not take as a body.
pub(crate) fn check_body(body: &str) -> Result<()> {
    if body.len() <= LONGEST_BODY { Ok(()) } else { Err(refused(format!("a body is up to {LONGEST_BODY} bytes"))) }
}

/// The first text behind all keys that begin with a room's prefix.
pub(crate) fn above(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

fn refused(why: String) -> Error {
    Error::Failed { what: WHAT, why }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_version_is_used_twice_and_each_fits_what_databases_count_with() {
        let versions: BTreeSet<u64> = (0..10_000).map(|_| new_version()).collect();
        assert_eq!(versions.len(), 10_000);
        assert!(versions.iter().all(|&version| i64::try_from(version).is_ok()));
    }
}
