//! The leases of this process.
//!
//! SQS does not guarantee that it refuses a receipt whose visibility timeout has passed: it may delete a message that
//! another consumer has leased. So this process tracks its own leases and ignores those it has lost. Unknown receipts,
//! e.g. those of a Lambda invocation, are left to SQS.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_platform::Receipt;

/// How long a lost lease is remembered. Later, its receipt is left to SQS.
const LOST_LEASE_RETENTION: Duration = Duration::from_hours(1);

/// The leases of all queues of a backend.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<Receipt, LeaseTimes>>);

#[derive(Debug, Clone, Copy)]
struct LeaseTimes {
    taken: Instant,
    ends: Instant,
}

impl Leases {
    /// Adds new leases.
    pub(crate) fn add(&self, receipts: impl IntoIterator<Item = Receipt>, lease: Duration) {
        let now = Instant::now();
        let mut leases = self.leases();
        leases.retain(|_, lease| lease.ends + LOST_LEASE_RETENTION > now);
        leases.extend(receipts.into_iter().map(|receipt| (receipt, LeaseTimes { taken: now, ends: now + lease })));
    }

    /// Restarts the visibility timeout of known leases.
    pub(crate) fn extend<'a>(&self, receipts: impl IntoIterator<Item = &'a Receipt>, lease: Duration) {
        let ends = Instant::now() + lease;
        let mut leases = self.leases();
        for receipt in receipts {
            if let Some(lease) = leases.get_mut(receipt) {
                lease.ends = ends;
            }
        }
    }

    /// Removes leases that were ended.
    pub(crate) fn remove(&self, receipts: &[Receipt]) {
        let mut leases = self.leases();
        for receipt in receipts {
            leases.remove(receipt);
        }
    }

    /// Returns whether the lease is known to have ended.
    pub(crate) fn is_lost(&self, receipt: &Receipt) -> bool {
        self.leases().get(receipt).is_some_and(|lease| lease.ends <= Instant::now())
    }

    /// Returns whether any lease is valid.
    pub(crate) fn any_valid(&self) -> bool {
        let now = Instant::now();
        self.leases().values().any(|lease| lease.ends > now)
    }

    /// Returns how long a lease has been held; zero if it is unknown.
    pub(crate) fn age(&self, receipt: &Receipt) -> Duration {
        self.leases().get(receipt).map_or(Duration::ZERO, |lease| lease.taken.elapsed())
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Receipt, LeaseTimes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
