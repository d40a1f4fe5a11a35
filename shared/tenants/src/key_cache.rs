//! Whose a key is: asked at every request, and remembered for a few seconds.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use quire_platform::{Backend, Collection, Result};
use quire_tasks::{Tenant, UnixMillis};

use crate::{
    keys::{ApiKey, KeyDigest, KeyEntry, any_key_exists},
    lookup_cache::LookupCache,
};

/// So long a key that was revoked may still be let through, and a backend be taken for one without keys.
pub const KEY_CACHE_TTL_MILLIS: i64 = 5_000;
/// How many answers are remembered, of either kind. They are apart, so that whoever tries keys pushes no real one out.
const MOST_REMEMBERED: usize = 10_000;

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// The tenant.
    pub tenant: Tenant,
    /// The public name of the key; none where no key was needed.
    pub key_id: Option<String>,
}

/// Verifies keys, and remembers for [`KEY_CACHE_TTL_MILLIS`] what came of it.
#[derive(Debug)]
pub struct KeyCache {
    backend: Backend,
    known: Mutex<LookupCache<KeyDigest, (UnixMillis, KeyOwner)>>,
    unknown: Mutex<LookupCache<KeyDigest, UnixMillis>>,
    /// There is a key. It never becomes false again.
    any: AtomicBool,
    /// Until when there is taken to be none.
    none_until: AtomicI64,
}

impl KeyCache {
    /// The keys of a backend.
    pub fn new(backend: Backend) -> Self {
        let known = Mutex::new(LookupCache::new(MOST_REMEMBERED / 2));
        let unknown = Mutex::new(LookupCache::new(MOST_REMEMBERED / 2));
        Self { backend, known, unknown, any: AtomicBool::new(false), none_until: AtomicI64::new(i64::MIN) }
    }

    /// Whose key this is; `None` where it is nobody's, or no longer.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`]. What is not known for sure is let through by nobody.
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
        let entry = record.map(|record| KeyEntry::from_record(&record)).transpose()?;
        let identity = entry.filter(|entry| entry.revoked_at.is_none());
        let identity = identity.map(|entry| KeyOwner { tenant: entry.tenant, key_id: Some(entry.id) });
        self.remember(digest, identity.as_ref(), now);
        Ok(identity)
    }

    fn remember(&self, digest: KeyDigest, identity: Option<&KeyOwner>, now: UnixMillis) {
        let until = later(now);
        match identity {
            Some(identity) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(digest, (until, identity.clone()));
            }
            None => self.unknown.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, until),
        }
    }

    /// Whether the backend has keys, and a request needs one.
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
            self.none_until.store(later(now).0, Ordering::Relaxed);
        }
        Ok(any)
    }
}

fn later(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(KEY_CACHE_TTL_MILLIS))
}
