//! What a tenant uses of its quotas, without I/O and clock: pages of the day, stored bytes and open tasks.
//!
//! A submission is charged before anything of it is stored: its reservation takes the pages, bytes and the task at
//! once, and stays in the account until the task exists ([`Account::commit`]) or does not come to exist
//! ([`Account::release`]). The record of an account is changed by optimistic concurrency, so that concurrent
//! submissions never exceed a quota together.

use std::time::Duration;

use quire_tasks::{TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{
    TenantLimits, record,
    token_bucket::{RefillRate, TokenBucket},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// After this time a reservation is resolved: its task exists, or its submitter has crashed. It is longer than anything
/// between a reservation and the end of its task's creation.
const HELD_FOR: Duration = Duration::from_mins(30);
/// Maximum number of reservations at a time: they must fit the record.
const MAX_HELD: usize = 250;

/// What a submission, a document or a retry takes of its tenant's quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The task.
    pub task: TaskId,
    /// The document that is split, or 0 for a whole submission or retry.
    pub document: u32,
    /// The round of the task.
    pub round: u32,
    /// Pages to be read.
    pub pages: u64,
    /// Bytes to be stored.
    pub bytes: u64,
    /// Whether the task is opened by it, i.e. counts as open from now on.
    pub opens: bool,
}

/// Why a reservation is refused. Decision: refuse the request, or fail the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// The task has too many pages.
    #[error("{asked} pages were sent; a task has at most {allowed}")]
    TaskPages {
        /// The pages of the task.
        asked: u64,
        /// The maximum.
        allowed: u64,
    },
    /// Too few pages remain of the day's.
    #[error("{asked} pages were sent; {available} of {quota} pages per day remain")]
    DailyPages {
        /// The pages asked for.
        asked: u64,
        /// The pages that remain now.
        available: u64,
        /// The quota.
        quota: u64,
        /// Seconds until so many pages remain; `None` if the quota is lower.
        retry_after_secs: Option<u64>,
    },
    /// The documents would exceed the tenant's storage.
    #[error("{asked} bytes were sent; {used} of {quota} bytes are used by stored documents")]
    StoredBytes {
        /// The bytes asked for.
        asked: u64,
        /// The bytes that are stored.
        used: u64,
        /// The quota.
        quota: u64,
    },
    /// The tenant has too many open tasks.
    #[error("{open} tasks are open; at most {quota} may be")]
    OpenTasks {
        /// The open tasks.
        open: u64,
        /// The quota.
        quota: u64,
    },
    /// Too many submissions are being stored at this moment.
    #[error("too many submissions at the same time")]
    Crowded,
}

/// What a reservation has taken, and gives back when it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) task: TaskId,
    pub(crate) document: u32,
    pub(crate) round: u32,
    pages: u64,
    pub(crate) bytes: u64,
    opened: bool,
    until: UnixMillis,
}

impl Held {
    pub(crate) fn is_of(&self, of: &Reservation) -> bool {
        (self.task, self.document, self.round) == (of.task, of.document, of.round)
    }
}

/// The state of a tenant's quotas. The bucket's fields are those of the record before there were reservations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    #[serde(flatten)]
    bucket: Option<TokenBucket>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<Held>,
    /// Tasks that may be open: ended ones are removed when the quota is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<TaskId>,
    #[serde(default, skip_serializing_if = "record::is_default")]
    stored_bytes: u64,
}

impl Account {
    /// Returns the pages that remain of the day's.
    pub(crate) fn pages_left(&self, rate: &RefillRate, now: UnixMillis) -> f64 {
        self.refilled(rate, now).level
    }

    pub(crate) const fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    pub(crate) fn set_stored_bytes(&mut self, bytes: u64) {
        self.stored_bytes = bytes + self.held.iter().map(|held| held.bytes).sum::<u64>();
    }

    /// Returns the tasks that may be open and are not being created.
    pub(crate) fn open(&self) -> impl Iterator<Item = TaskId> {
        self.open.iter().copied().filter(|task| !self.is_held(*task))
    }

    pub(crate) fn open_count(&self) -> u64 {
        self.open.len() as u64
    }

    /// Removes tasks that have ended.
    pub(crate) fn close(&mut self, ended: &[TaskId]) {
        let held = std::mem::take(&mut self.held);
        self.open.retain(|task| held.iter().any(|held| held.task == *task) || !ended.contains(task));
        self.held = held;
    }

    fn is_held(&self, task: TaskId) -> bool {
        self.held.iter().any(|held| held.task == task)
    }

    fn refilled(&self, rate: &RefillRate, now: UnixMillis) -> TokenBucket {
        self.bucket.unwrap_or_else(|| TokenBucket::full(rate, now)).refilled(rate, now)
    }

    /// Returns the reservations that must be resolved.
    pub(crate) fn overdue(&self, now: UnixMillis) -> Vec<Held> {
        self.held.iter().filter(|held| held.until <= now).copied().collect()
    }

    /// Takes a reservation, as a whole or not at all. Idempotent: the same one is taken once.
    pub(crate) fn reserve(
        &mut self,
        asks: &Reservation,
        limits: &TenantLimits,
        now: UnixMillis,
    ) -> Result<(), QuotaRefusal> {
        // A request that is repeated after a crash may have other contents.
        self.release(asks, limits, now);
        let mut next = self.clone();
        let mut held = Held {
            task: asks.task,
            document: asks.document,
            round: asks.round,
            pages: 0,
            bytes: 0,
            opened: false,
            until: now.plus(HELD_FOR),
        };
        if let Some(rate) = daily_rate(limits) {
            let mut bucket = next.refilled(&rate, now);
            take_pages(&mut bucket, &rate, asks.pages)?;
            next.bucket = Some(bucket);
            held.pages = asks.pages;
        }
        if let Some(quota) = limits.stored_bytes {
            let used = next.stored_bytes;
            if used.saturating_add(asks.bytes) > quota.get() && asks.bytes > 0 {
                return Err(QuotaRefusal::StoredBytes { asked: asks.bytes, used, quota: quota.get() });
            }
            next.stored_bytes += asks.bytes;
            held.bytes = asks.bytes;
        }
        if let Some(quota) = limits.open_tasks.filter(|_| asks.opens && !next.open.contains(&asks.task)) {
            let open = next.open_count();
            if open >= quota.get() {
                return Err(QuotaRefusal::OpenTasks { open, quota: quota.get() });
            }
            next.open.push(asks.task);
            held.opened = true;
        }
        if next.held.len() >= MAX_HELD {
            return Err(QuotaRefusal::Crowded);
        }
        next.held.push(held);
        *self = next;
        Ok(())
    }

    /// Ends a reservation whose task exists: what it took stays taken.
    pub(crate) fn commit(&mut self, of: &Reservation) -> Option<Held> {
        let index = self.held.iter().position(|held| held.is_of(of))?;
        Some(self.held.swap_remove(index))
    }

    /// Ends a reservation whose task does not exist, and gives back what it took.
    pub(crate) fn release(&mut self, of: &Reservation, limits: &TenantLimits, now: UnixMillis) -> Option<Held> {
        let held = self.commit(of)?;
        self.give_back_pages(held.pages, limits, now);
        self.stored_bytes = self.stored_bytes.saturating_sub(held.bytes);
        if held.opened {
            self.open.retain(|task| *task != held.task);
        }
        Some(held)
    }

    /// Gives back pages that were never read.
    pub(crate) fn give_back_pages(&mut self, pages: u64, limits: &TenantLimits, now: UnixMillis) {
        if let Some(rate) = daily_rate(limits).filter(|_| pages > 0) {
            let mut bucket = self.refilled(&rate, now);
            bucket.level = (bucket.level + pages as f64).min(rate.capacity);
            self.bucket = Some(bucket);
        }
    }

    /// Gives back the bytes of documents that were deleted.
    pub(crate) fn give_back_bytes(&mut self, bytes: u64) {
        self.stored_bytes = self.stored_bytes.saturating_sub(bytes);
    }
}

/// Returns the refill rate of the day's pages, if they are limited.
pub(crate) fn daily_rate(limits: &TenantLimits) -> Option<RefillRate> {
    let quota = limits.pages_per_day?.get();
    Some(RefillRate { quota, window_ms: DAY_MS, capacity: quota as f64 })
}

fn take_pages(bucket: &mut TokenBucket, rate: &RefillRate, pages: u64) -> Result<(), QuotaRefusal> {
    // A pending document is charged when it is split; a tenant without a remaining page can create no task.
    let needed = pages.max(1) as f64;
    if bucket.level < needed {
        let wait = rate.millis_for(needed - bucket.level).max(0).cast_unsigned().div_ceil(1_000).max(1);
        return Err(QuotaRefusal::DailyPages {
            asked: pages.max(1),
            available: bucket.level.max(0.0) as u64,
            quota: rate.quota,
            retry_after_secs: (needed <= rate.capacity).then_some(wait),
        });
    }
    bucket.charge(pages);
    Ok(())
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
