//! What is left of each tenant's limits: taken by every process that has a door, out of buckets that all of them share.

use std::sync::{Arc, Mutex, PoisonError};

use quire_platform::{
    Backend, Collection, Result,
    records::{self, RecordUpdate, UpdateOptions},
};
use quire_tasks::{Tenant, UnixMillis};

use crate::{
    Limits,
    aging::Aging,
    bucket::{Block, Bucket, Rate},
    record,
};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// So long a change of a tenant's limits may go unnoticed.
const REMEMBERED_MILLIS: i64 = 5_000;
/// How many tenants are remembered.
const MOST_REMEMBERED: usize = 10_000;
/// A process takes at most this part of a bucket in advance, so that twenty of them find something,
const SHARES: u64 = 20;
/// and no more than this: one write for fifty requests is cheap enough.
const LARGEST_BLOCK: u64 = 50;
/// For so long what was taken in advance is good, so that no process saves up. A quarter of the burst must outlast it.
const LONGEST_HOLD_MS: u64 = 1_000;
/// How a bucket is updated. Transient errors are returned at once, since a request waits for the answer.
const UPDATE: UpdateOptions = UpdateOptions { what: "limits", attempts: 50, retry_busy: false };

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Requests, by the minute.
    Requests,
    /// Pages, by the day.
    Pages,
}

impl Policy {
    /// Its name in headers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Pages => "pages",
        }
    }

    fn room(self, tenant: &Tenant) -> String {
        format!("{tenant}/{}", self.as_str())
    }
}

/// How a limit stands after somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Which limit.
    pub policy: Policy,
    /// Whether there was something left.
    pub allowed: bool,
    /// How much is left now.
    pub remaining: u64,
    /// In how many seconds all of it is there again, if nobody asks.
    pub reset_secs: u64,
    /// In how many seconds to come back, where nothing was left; otherwise 0.
    pub retry_after_secs: u64,
    /// How much there is in a window.
    pub quota: u64,
    /// How many seconds a window has.
    pub window_secs: u64,
}

impl Taken {
    fn new(policy: Policy, rate: &Rate, allowed: bool, available: f64) -> Self {
        let secs = |millis: i64| millis.max(0).cast_unsigned().div_ceil(1_000);
        let wait = if allowed { 0 } else { secs(rate.millis_for(1.0 - available)).max(1) };
        Self {
            policy,
            allowed,
            remaining: available.max(0.0) as u64,
            reset_secs: secs(rate.millis_for(rate.capacity - available)),
            retry_after_secs: wait,
            quota: rate.quota,
            window_secs: rate.window_ms / 1_000,
        }
    }
}

/// What a process knows of one tenant's requests.
#[derive(Debug)]
struct Held {
    block: Block,
    /// The bucket as it was last seen.
    bucket: Option<Bucket>,
    /// Until then there is nothing to be had.
    empty_until: Option<UnixMillis>,
}

impl Held {
    const NOTHING: Self = Self { block: Block::NONE, bucket: None, empty_until: None };
}

/// How requests are counted.
#[derive(Debug, Clone, Copy)]
struct Counting {
    rate: Rate,
    largest_block: u64,
    hold_ms: i64,
}

impl Counting {
    fn of(limits: &Limits) -> Option<Self> {
        let quota = limits.requests_per_minute?.get();
        let burst = limits.burst.or(limits.requests_per_minute)?.get();
        let largest_block = (burst / SHARES).clamp(1, LARGEST_BLOCK);
        let mut rate = Rate { quota, window_ms: MINUTE_MS, capacity: burst as f64 };
        let hold_ms = (burst.saturating_mul(MINUTE_MS) / quota.saturating_mul(4)).min(LONGEST_HOLD_MS);
        if largest_block > 1 {
            // What comes in while blocks are held, so that they and the bucket are no more than the burst together.
            rate.capacity -= hold_ms as f64 * quota as f64 / MINUTE_MS as f64;
        }
        Some(Self { rate, largest_block, hold_ms: hold_ms as i64 })
    }
}

/// What is left of all tenants' limits. A tenant without limits costs a look at them every few seconds, and nothing else.
#[derive(Debug)]
pub struct Allowance {
    backend: Backend,
    limits: Mutex<Aging<Tenant, (UnixMillis, Limits)>>,
    requests: Mutex<Aging<Tenant, Arc<tokio::sync::Mutex<Held>>>>,
}

impl Allowance {
    /// The limits of a backend's tenants.
    pub fn new(backend: Backend) -> Self {
        let limits = Mutex::new(Aging::new(MOST_REMEMBERED / 2));
        let requests = Mutex::new(Aging::new(MOST_REMEMBERED / 2));
        Self { backend, limits, requests }
    }

    /// What a tenant may ask for, as it was within the last seconds.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn limits(&self, tenant: &Tenant, now: UnixMillis) -> Result<Limits> {
        let remembered = self.limits.lock().unwrap_or_else(PoisonError::into_inner).find(tenant);
        if let Some((_, limits)) = remembered.filter(|(until, _)| now < *until) {
            return Ok(limits);
        }
        let limits = Limits::read(&self.backend, tenant).await?;
        let until = UnixMillis(now.0.saturating_add(REMEMBERED_MILLIS));
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).put(tenant.clone(), (until, limits));
        Ok(limits)
    }

    /// Takes one request. `None` where the tenant's requests are not limited.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn take_request(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<Taken>> {
        let Some(counting) = Counting::of(&self.limits(tenant, now).await?) else { return Ok(None) };
        let held = self.held(tenant);
        // One at a time: what one of them fetches is enough for those behind it.
        let mut held = held.lock().await;
        let allowed = held.block.take_one(counting.hold_ms, now)
            || (held.empty_until.is_none_or(|until| now >= until)
                && self.fetch(tenant, &mut held, &counting, now).await?
                && held.block.take_one(counting.hold_ms.max(1), now));
        let level = held.bucket.map_or(counting.rate.capacity, |seen| seen.refilled(&counting.rate, now).level);
        let available = (level + held.block.left as f64).min(counting.rate.capacity);
        let available = if allowed { available } else { available.min(1.0 - f64::EPSILON) };
        Ok(Some(Taken::new(Policy::Requests, &counting.rate, allowed, available)))
    }

    fn held(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<Held>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.find(tenant).unwrap_or_else(|| {
            let held = Arc::new(tokio::sync::Mutex::new(Held::NOTHING));
            requests.put(tenant.clone(), Arc::clone(&held));
            held
        })
    }

    /// Changes the old block for a new one; whether there is anything in it.
    async fn fetch(&self, tenant: &Tenant, held: &mut Held, counting: &Counting, now: UnixMillis) -> Result<bool> {
        let (rate, key) = (&counting.rate, Policy::Requests.room(tenant));
        let records = self.backend.records.as_ref();
        let take = |stored: Option<Bucket>| {
            let mut bucket = stored.unwrap_or_else(|| Bucket::full(rate, now)).refilled(rate, now);
            bucket.put_back(held.block.left, held.block.taken_at);
            match bucket.take(held.block.next_size(counting.largest_block)) {
                0 => RecordUpdate::Keep((0, bucket)),
                taken => RecordUpdate::Put { value: bucket, result: (taken, bucket) },
            }
        };
        let (taken, bucket) = records::update(records, Collection::Limits, &key, UPDATE, take).await?;
        if taken == 0 {
            // Further requests of this tenant are refused without another read.
            let wait = rate.millis_for(1.0 - bucket.level).clamp(1, LONGEST_HOLD_MS as i64);
            held.empty_until = Some(UnixMillis(now.0.saturating_add(wait)));
            held.bucket = Some(bucket);
            return Ok(false);
        }
        *held = Held { block: Block::new(taken, now), bucket: Some(bucket), empty_until: None };
        Ok(true)
    }

    /// How a tenant's pages stand: allowed while one is left. `None` where they are not limited.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn pages(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<Taken>> {
        let Some(rate) = by_the_day(&self.limits(tenant, now).await?) else { return Ok(None) };
        let key = Policy::Pages.room(tenant);
        let (bucket, _) = record::read::<Option<Bucket>>(&self.backend, Collection::Limits, &key).await?;
        let bucket = bucket.unwrap_or_else(|| Bucket::full(&rate, now)).refilled(&rate, now);
        Ok(Some(Taken::new(Policy::Pages, &rate, bucket.level >= 1.0, bucket.level)))
    }

    /// Charges pages, where they are limited: they are known only when a document has been taken, so the last document of
    /// a day may lead into debt, which the next day's pages pay first.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn charge_pages(&self, tenant: &Tenant, pages: u64, now: UnixMillis) -> Result<()> {
        let Some(rate) = by_the_day(&self.limits(tenant, now).await?) else { return Ok(()) };
        if pages == 0 {
            return Ok(());
        }
        let charged = |bucket: Option<Bucket>| {
            let mut bucket = bucket.unwrap_or_else(|| Bucket::full(&rate, now)).refilled(&rate, now);
            bucket.charge(pages);
            Some(bucket)
        };
        record::change(&self.backend, Collection::Limits, &Policy::Pages.room(tenant), charged).await.map(drop)
    }
}

fn by_the_day(limits: &Limits) -> Option<Rate> {
    let quota = limits.pages_per_day?.get();
    Some(Rate { quota, window_ms: DAY_MS, capacity: quota as f64 })
}
