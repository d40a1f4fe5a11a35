//! What is left of each tenant's limits: taken by every process that has a door, out of buckets that all of them share.

use std::sync::{Arc, Mutex, PoisonError};

use quire_platform::{Backend, Collection, Error, Result};
use quire_tasks::{Tenant, UnixMillis};

use crate::{
    TenantLimits,
    lookup_cache::LookupCache,
    record,
    token_bucket::{RefillRate, TokenBlock, TokenBucket},
};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// So long a change of a tenant's limits may go unnoticed.
const LIMITS_TTL_MILLIS: i64 = 5_000;
/// How many tenants are remembered.
const MOST_REMEMBERED: usize = 10_000;
/// A process takes at most this part of a bucket in advance, so that twenty of them find something,
const SHARES: u64 = 20;
/// and no more than this: one write for fifty requests is cheap enough.
const LARGEST_BLOCK: u64 = 50;
/// For so long what was taken in advance is good, so that no process saves up. A quarter of the burst must outlast it.
const LONGEST_HOLD_MS: u64 = 1_000;
/// How often a take is tried that others get in the way of. Each time, one of them has got on.
const TRIES: usize = 50;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitPolicy {
    /// Requests, by the minute.
    Requests,
    /// Pages, by the day.
    Pages,
}

impl RateLimitPolicy {
    /// Its name in headers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Pages => "pages",
        }
    }

    fn record_key(self, tenant: &Tenant) -> String {
        format!("{tenant}/{}", self.as_str())
    }
}

/// How a limit stands after somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Which limit.
    pub policy: RateLimitPolicy,
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

impl RateLimitStatus {
    fn new(policy: RateLimitPolicy, rate: &RefillRate, allowed: bool, available: f64) -> Self {
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
struct LocalTokens {
    block: TokenBlock,
    /// The bucket as it was last seen.
    bucket: Option<TokenBucket>,
    /// Until then there is nothing to be had.
    empty_until: Option<UnixMillis>,
}

impl LocalTokens {
    const NOTHING: Self = Self { block: TokenBlock::NONE, bucket: None, empty_until: None };
}

/// How requests are counted.
#[derive(Debug, Clone, Copy)]
struct RequestLimit {
    rate: RefillRate,
    largest_block: u64,
    hold_ms: i64,
}

impl RequestLimit {
    fn of(limits: &TenantLimits) -> Option<Self> {
        let quota = limits.requests_per_minute?.get();
        let burst = limits.burst.or(limits.requests_per_minute)?.get();
        let largest_block = (burst / SHARES).clamp(1, LARGEST_BLOCK);
        let mut rate = RefillRate { quota, window_ms: MINUTE_MS, capacity: burst as f64 };
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
pub struct RateLimiter {
    backend: Backend,
    limits: Mutex<LookupCache<Tenant, (UnixMillis, TenantLimits)>>,
    requests: Mutex<LookupCache<Tenant, Arc<tokio::sync::Mutex<LocalTokens>>>>,
}

impl RateLimiter {
    /// The limits of a backend's tenants.
    pub fn new(backend: Backend) -> Self {
        let limits = Mutex::new(LookupCache::new(MOST_REMEMBERED / 2));
        let requests = Mutex::new(LookupCache::new(MOST_REMEMBERED / 2));
        Self { backend, limits, requests }
    }

    /// What a tenant may ask for, as it was within the last seconds.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn limits(&self, tenant: &Tenant, now: UnixMillis) -> Result<TenantLimits> {
        let remembered = self.limits.lock().unwrap_or_else(PoisonError::into_inner).get(tenant);
        if let Some((_, limits)) = remembered.filter(|(until, _)| now < *until) {
            return Ok(limits);
        }
        let limits = TenantLimits::read(&self.backend, tenant).await?;
        let until = UnixMillis(now.0.saturating_add(LIMITS_TTL_MILLIS));
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), (until, limits));
        Ok(limits)
    }

    /// Takes one request. `None` where the tenant's requests are not limited.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn take_request(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<RateLimitStatus>> {
        let Some(counting) = RequestLimit::of(&self.limits(tenant, now).await?) else { return Ok(None) };
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
        Ok(Some(RateLimitStatus::new(RateLimitPolicy::Requests, &counting.rate, allowed, available)))
    }

    fn held(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<LocalTokens>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.get(tenant).unwrap_or_else(|| {
            let held = Arc::new(tokio::sync::Mutex::new(LocalTokens::NOTHING));
            requests.insert(tenant.clone(), Arc::clone(&held));
            held
        })
    }

    /// Changes the old block for a new one; whether there is anything in it.
    async fn fetch(
        &self,
        tenant: &Tenant,
        held: &mut LocalTokens,
        counting: &RequestLimit,
        now: UnixMillis,
    ) -> Result<bool> {
        let (rate, key) = (&counting.rate, RateLimitPolicy::Requests.record_key(tenant));
        for _ in 0..TRIES {
            let (bucket, seen) = record::read::<Option<TokenBucket>>(&self.backend, Collection::Limits, &key).await?;
            let mut bucket = bucket.unwrap_or_else(|| TokenBucket::full(rate, now)).refilled(rate, now);
            bucket.put_back(held.block.left, held.block.taken_at);
            let taken = bucket.take(held.block.next_size(counting.largest_block));
            if taken == 0 {
                // Nothing to write. Whoever goes on asking does not make us go on reading.
                let wait = rate.millis_for(1.0 - bucket.level).clamp(1, LONGEST_HOLD_MS as i64);
                held.empty_until = Some(UnixMillis(now.0.saturating_add(wait)));
                held.bucket = Some(bucket);
                return Ok(false);
            }
            if self.backend.records.put(Collection::Limits, &key, record::written(&bucket)?, seen, None).await? {
                *held = LocalTokens { block: TokenBlock::new(taken, now), bucket: Some(bucket), empty_until: None };
                return Ok(true);
            }
        }
        Err(Error::Busy { what: "limits", why: "others take from the same limit all the time".to_owned() })
    }

    /// How a tenant's pages stand: allowed while one is left. `None` where they are not limited.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn pages(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<RateLimitStatus>> {
        let Some(rate) = by_the_day(&self.limits(tenant, now).await?) else { return Ok(None) };
        let key = RateLimitPolicy::Pages.record_key(tenant);
        let (bucket, _) = record::read::<Option<TokenBucket>>(&self.backend, Collection::Limits, &key).await?;
        let bucket = bucket.unwrap_or_else(|| TokenBucket::full(&rate, now)).refilled(&rate, now);
        Ok(Some(RateLimitStatus::new(RateLimitPolicy::Pages, &rate, bucket.level >= 1.0, bucket.level)))
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
        let charged = |bucket: Option<TokenBucket>| {
            let mut bucket = bucket.unwrap_or_else(|| TokenBucket::full(&rate, now)).refilled(&rate, now);
            bucket.charge(pages);
            Some(bucket)
        };
        record::change(&self.backend, Collection::Limits, &RateLimitPolicy::Pages.record_key(tenant), charged)
            .await
            .map(drop)
    }
}

fn by_the_day(limits: &TenantLimits) -> Option<RefillRate> {
    let quota = limits.pages_per_day?.get();
    Some(RefillRate { quota, window_ms: DAY_MS, capacity: quota as f64 })
}
