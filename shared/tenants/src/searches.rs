//! Bounds how often the tasks of a tenant are searched.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use quire_tasks::{Tenant, UnixMillis};

/// Interval between two searches of one tenant in one process, in milliseconds.
const SEARCH_INTERVAL_MILLIS: i64 = 1_000;

/// The times of the last searches.
#[derive(Debug, Default)]
pub(crate) struct Searches(Mutex<HashMap<Tenant, UnixMillis>>);

impl Searches {
    /// Returns whether a search is due, and notes it.
    pub(crate) fn begin(&self, tenant: &Tenant, now: UnixMillis) -> bool {
        let mut searches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        searches.retain(|_, at| now.0.saturating_sub(at.0).abs() < SEARCH_INTERVAL_MILLIS);
        let due = !searches.contains_key(tenant);
        if due {
            searches.insert(tenant.clone(), now);
        }
        due
    }
}
