//! Whose a key is: asked at every request, and remembered for a few seconds.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use quire_platform::{Backend, Collection, Result};
use quire_tasks::{Tenant, UnixMillis};

use crate::{
    aging::Aging,
    keys::{ApiKey, Digested, KeyEntry, any_key},
};

/// So long a key that was revoked may still be let through, and a backend be taken for one without keys.
pub const REMEMBERED_MILLIS: i64 = 5_000;
/// How many answers are remembered, of either kind. They are apart, so that whoever tries keys pushes no real one out.
const MOST_REMEMBERED: usize = 10_000;

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: Tenant,
    /// The public name of the key; none where no key was needed.
    pub key_id: Option<String>,
}

/// Verifies keys, and remembers for [`REMEMBERED_MILLIS`] what came of it.
#[derive(Debug)]
pub struct Keys {
    backend: Backend,
    known: Mutex<Aging<Digested, (UnixMillis, Identity)>>,
    unknown: Mutex<Aging<Digested, UnixMillis>>,
    /// There is a key. It never becomes false again.
    any: AtomicBool,
    /// Until when there is taken to be none.
    none_until: AtomicI64,
}

impl Keys {
    /// The keys of a backend.
    pub fn new(backend: Backend) -> Self {
        let known = Mutex::new(Aging::new(MOST_REMEMBERED / 2));
        let unknown = Mutex::new(Aging::new(MOST_REMEMBERED / 2));
        Self { backend, known, unknown, any: AtomicBool::new(false), none_until: AtomicI64::new(i64::MIN) }
    }

    /// Whose key this is; `None` where it is nobody's, or no longer.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`]. What is not known for sure is let through by nobody.
    pub async fn verify(&self, bearer: &str, now: UnixMillis) -> Result<Option<Identity>> {
        let Ok(key) = bearer.parse::<ApiKey>() else { return Ok(None) };
        let digest = key.digest();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).find(&digest);
        if let Some((_, identity)) = known.filter(|(until, _)| now < *until) {
            return Ok(Some(identity));
        }
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner).find(&digest);
        if unknown.is_some_and(|until| now < until) {
            return Ok(None);
        }
        let record = self.backend.records.read(Collection::Keys, &digest.to_string()).await?;
        let entry = record.map(|record| KeyEntry::of(&record)).transpose()?;
        let identity = entry.filter(|entry| entry.revoked_at.is_none());
        let identity = identity.map(|entry| Identity { tenant: entry.tenant, key_id: Some(entry.id) });
        self.remember(digest, identity.as_ref(), now);
        Ok(identity)
    }

    fn remember(&self, digest: Digested, identity: Option<&Identity>, now: UnixMillis) {
        let until = later(now);
        match identity {
            Some(identity) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.put(digest, (until, identity.clone()));
            }
            None => self.unknown.lock().unwrap_or_else(PoisonError::into_inner).put(digest, until),
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
        let any = any_key(&self.backend).await?;
        if any {
            self.any.store(true, Ordering::Relaxed);
        } else {
            self.none_until.store(later(now).0, Ordering::Relaxed);
        }
        Ok(any)
    }
}

fn later(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(REMEMBERED_MILLIS))
}
