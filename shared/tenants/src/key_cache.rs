//! Verification of API keys, with a cache of a few seconds.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use quire_platform::{Backend, Collection, Record, Result};
use quire_tasks::{Tenant, UnixMillis};
use tracing::warn;

use crate::{
    keys::{ApiKey, KeyDigest, KeyEntry, any_key_exists},
    lookup_cache::LookupCache,
    scopes::Scopes,
};

/// Cache TTL: a revoked key may be accepted, and a backend's first key be ignored, for this long.
pub const KEY_CACHE_TTL_MILLIS: i64 = 5_000;
/// Interval at which a key's last use is written: an operator needs no more, and no request should cost a write.
pub const LAST_USE_INTERVAL_MILLIS: i64 = 60_000;
/// Maximum number of cached results, for valid and for unknown keys each. The two caches are separate, so that
/// requests with invented keys evict no valid one.
const MAX_CACHED_KEYS: usize = 10_000;

/// The owner of an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// The tenant.
    pub tenant: Tenant,
    /// The key's id; `None` if no key was required.
    pub key_id: Option<String>,
    /// What the key may be used for; all scopes if no key was required.
    pub scopes: Scopes,
}

/// Verifies API keys and caches the results for [`KEY_CACHE_TTL_MILLIS`].
#[derive(Debug)]
pub struct KeyCache {
    backend: Backend,
    known: Mutex<LookupCache<KeyDigest, (UnixMillis, KeyOwner)>>,
    unknown: Mutex<LookupCache<KeyDigest, UnixMillis>>,
    /// A key exists. Once true, it stays true.
    any: AtomicBool,
    /// Until this time (Unix milliseconds) no key is assumed to exist.
    none_until: AtomicI64,
}

impl KeyCache {
    /// Returns an empty cache over a backend's keys.
    pub fn new(backend: Backend) -> Self {
        let known = Mutex::new(LookupCache::new(MAX_CACHED_KEYS / 2));
        let unknown = Mutex::new(LookupCache::new(MAX_CACHED_KEYS / 2));
        Self { backend, known, unknown, any: AtomicBool::new(false), none_until: AtomicI64::new(i64::MIN) }
    }

    /// Returns the owner of a key, or `None` if the key is unknown, revoked or expired.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`]. The request must then be refused.
    pub async fn verify(&self, bearer: &str, now: UnixMillis) -> Result<Option<KeyOwner>> {
        let Ok(key) = bearer.parse::<ApiKey>() else { return Ok(None) };
        let digest = key.digest();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        if let Some((_, identity)) = known.filter(|(until, _)| now < *until) {
            return Ok(Some(identity));
        }
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        if unknown.is_some_and(|until| now < until) {
            return Ok(None);
        }
        let record = self.backend.records.read(Collection::Keys, &digest.to_string()).await?;
        let entry = record.as_ref().map(KeyEntry::from_record).transpose()?.filter(|entry| entry.is_valid(now));
        if let Some((record, entry)) = record.zip(entry.as_ref()) {
            self.note_use(&record, entry, now).await;
        }
        let expires_at = entry.as_ref().and_then(|entry| entry.expires_at);
        let identity = entry.map(|KeyEntry { tenant, id, scopes, .. }| KeyOwner { tenant, key_id: Some(id), scopes });
        let until = expires_at.map_or(expiry(now), |at| at.min(expiry(now)));
        self.cache(digest, identity.as_ref(), until);
        Ok(identity)
    }

    /// Writes the time of use, at most once per [`LAST_USE_INTERVAL_MILLIS`] and key. A failure changes nothing for the
    /// request: the disk may be full, or another process was faster.
    async fn note_use(&self, record: &Record, entry: &KeyEntry, now: UnixMillis) {
        if entry.last_used_at.is_some_and(|at| now.0 < at.0.saturating_add(LAST_USE_INTERVAL_MILLIS)) {
            return;
        }
        let used = KeyEntry { last_used_at: Some(now), ..entry.clone() };
        let Ok(body) = used.written() else { return };
        let written = self.backend.records.put(Collection::Keys, &record.key, body, Some(record.version), None).await;
        if let Err(error) = written {
            warn!(key.id = entry.id, %error, "cannot write when a key was last used");
        }
    }

    fn cache(&self, digest: KeyDigest, identity: Option<&KeyOwner>, until: UnixMillis) {
        match identity {
            Some(identity) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(digest, (until, identity.clone()));
            }
            None => self.unknown.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, until),
        }
    }

    /// Returns whether the backend has keys, so that requests require one.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn any(&self, now: UnixMillis) -> Result<bool> {
        if self.any.load(Ordering::Relaxed) {
            return Ok(true);
        }
        if now.0 < self.none_until.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let any = any_key_exists(&self.backend).await?;
        if any {
            self.any.store(true, Ordering::Relaxed);
        } else {
            self.none_until.store(expiry(now).0, Ordering::Relaxed);
        }
        Ok(any)
    }
}

fn expiry(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(KEY_CACHE_TTL_MILLIS))
}
