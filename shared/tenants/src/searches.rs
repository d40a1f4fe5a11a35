//! Bounds how often something is searched for a tenant.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use quire_tasks::{Tenant, UnixMillis};

/// The times of the last searches of this process.
#[derive(Debug)]
pub(crate) struct Searches {
    interval: Duration,
    last: Mutex<HashMap<Tenant, UnixMillis>>,
}

impl Searches {
    /// Allows one search of a tenant per interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::default() }
    }

    /// Returns whether a search is due, and notes it.
    pub(crate) fn begin(&self, tenant: &Tenant, now: UnixMillis) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = self.interval.as_millis();
        last.retain(|_, at| u128::from(now.0.abs_diff(at.0)) < interval);
        let due = !last.contains_key(tenant);
        if due {
            last.insert(tenant.clone(), now);
        }
        due
    }
}
