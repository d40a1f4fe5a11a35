//! What this process knows of the leases that it took.
//!
//! SQS does not promise to refuse a receipt whose lease has ended: it may even delete the message in somebody else's
//! hands. So we remember until when we hold what, and leave alone what we have lost. A receipt that we do not know, a
//! Lambda's for one, is SQS's to judge.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_platform::Receipt;

/// How long a lost lease is remembered. Whoever has not noticed by then asks SQS.
const MEMORY: Duration = Duration::from_hours(1);

/// The leases of all queues of a backend.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<Receipt, Lease>>);

#[derive(Debug, Clone, Copy)]
struct Lease {
    taken: Instant,
    ends: Instant,
}

impl Leases {
    /// Taken now.
    pub(crate) fn take(&self, receipts: impl IntoIterator<Item = Receipt>, lease: Duration) {
        let now = Instant::now();
        let mut leases = self.leases();
        leases.retain(|_, lease| lease.ends + MEMORY > now);
        leases.extend(receipts.into_iter().map(|receipt| (receipt, Lease { taken: now, ends: now + lease })));
    }

    /// Starts anew what is still known.
    pub(crate) fn extend<'a>(&self, receipts: impl IntoIterator<Item = &'a Receipt>, lease: Duration) {
        let ends = Instant::now() + lease;
        let mut leases = self.leases();
        for receipt in receipts {
            if let Some(lease) = leases.get_mut(receipt) {
                lease.ends = ends;
            }
        }
    }

    /// Gives up.
    pub(crate) fn forget(&self, receipts: &[Receipt]) {
        let mut leases = self.leases();
        for receipt in receipts {
            leases.remove(receipt);
        }
    }

    /// Whether it is known to have ended.
    pub(crate) fn lost(&self, receipt: &Receipt) -> bool {
        self.leases().get(receipt).is_some_and(|lease| lease.ends <= Instant::now())
    }

    /// Whether any holds now, whoever has it in hand.
    pub(crate) fn any(&self) -> bool {
        let now = Instant::now();
        self.leases().values().any(|lease| lease.ends > now)
    }

    /// How long it has been held, as far as is known.
    pub(crate) fn held(&self, receipt: &Receipt) -> Duration {
        self.leases().get(receipt).map_or(Duration::ZERO, |lease| lease.taken.elapsed())
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Receipt, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
