//! Rate limits per tenant, enforced by all processes with shared token buckets.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quire_platform::{
    Backend, Collection, Result,
    records::{self, RecordUpdate, UpdateOptions},
};
use quire_tasks::{Tenant, UnixMillis};

use crate::{
    TenantLimits,
    account::{Account, daily_rate},
    lookup_cache::LookupCache,
    record,
    searches::Searches,
    token_bucket::{RefillRate, TokenBlock, TokenBucket},
};

const MINUTE_MS: u64 = 60_000;
/// Cache TTL of a tenant's limits.
const LIMITS_TTL_MILLIS: i64 = 5_000;
/// Maximum number of tenants in each cache.
const MAX_CACHED_TENANTS: usize = 10_000;
/// A process prefetches at most this fraction (1/20) of a bucket, so that twenty processes can share it.
const SHARES: u64 = 20;
/// Maximum prefetched block: one write per fifty requests is cheap enough.
const MAX_BLOCK: u64 = 50;
/// Maximum age of prefetched tokens, so that no process hoards them. It is at most a quarter of the time in which the
/// burst refills.
const MAX_BLOCK_AGE_MS: u64 = 1_000;
/// Interval between two searches for ended tasks of a tenant at its limit: each reads all tasks that may be open.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two counts of the stored bytes of a tenant at its limit: each reads a record per stored task, and
/// corrects only what a crash left.
const RECOUNT_INTERVAL: Duration = Duration::from_mins(1);
/// Options of a bucket's update. In each conflict another process succeeds. Transient errors are returned at once,
/// since a request waits for the response.
const UPDATE: UpdateOptions = UpdateOptions { what: "limits", attempts: 50, retry_busy: false };

/// A limited resource.
///
/// ```
/// use quire_tenants::RateLimitPolicy;
///
/// // The policy's name in the `RateLimit` headers.
/// assert_eq!(RateLimitPolicy::Requests.as_str(), "requests");
/// assert_eq!(RateLimitPolicy::Pages.as_str(), "pages");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitPolicy {
    /// Requests per minute.
    Requests,
    /// Pages per day.
    Pages,
}

impl RateLimitPolicy {
    /// Returns the name in HTTP headers and record keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Pages => "pages",
        }
    }

    pub(crate) fn record_key(self, tenant: &Tenant) -> String {
        format!("{tenant}/{}", self.as_str())
    }
}

/// The status of a rate limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// The limited resource.
    pub policy: RateLimitPolicy,
    /// Whether the request is allowed.
    pub allowed: bool,
    /// Remaining tokens.
    pub remaining: u64,
    /// Seconds until the bucket is full again without requests.
    pub reset_secs: u64,
    /// Seconds until a retry can succeed; 0 if the request is allowed.
    pub retry_after_secs: u64,
    /// Tokens per window.
    pub quota: u64,
    /// Length of a window in seconds.
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

/// The tokens of one tenant that this process has prefetched.
#[derive(Debug)]
struct LocalTokens {
    block: TokenBlock,
    /// The shared bucket as last read.
    bucket: Option<TokenBucket>,
    /// Until then the shared bucket is known to be empty.
    empty_until: Option<UnixMillis>,
}

impl LocalTokens {
    const EMPTY: Self = Self { block: TokenBlock::NONE, bucket: None, empty_until: None };
}

/// The limit on a tenant's requests.
#[derive(Debug, Clone, Copy)]
struct RequestLimit {
    rate: RefillRate,
    max_block: u64,
    max_block_age_ms: i64,
}

impl RequestLimit {
    fn from_limits(limits: &TenantLimits) -> Option<Self> {
        let quota = limits.requests_per_minute?.get();
        let burst = limits.burst.or(limits.requests_per_minute)?.get();
        let max_block = (burst / SHARES).clamp(1, MAX_BLOCK);
        let mut rate = RefillRate { quota, window_ms: MINUTE_MS, capacity: burst as f64 };
        let max_block_age_ms = (burst.saturating_mul(MINUTE_MS) / quota.saturating_mul(4)).min(MAX_BLOCK_AGE_MS);
        if max_block > 1 {
            // Less the tokens that refill while blocks are held: blocks and bucket together never exceed the burst.
            rate.capacity -= max_block_age_ms as f64 * quota as f64 / MINUTE_MS as f64;
        }
        Some(Self { rate, max_block, max_block_age_ms: max_block_age_ms as i64 })
    }
}

/// Enforces the limits of all tenants. A tenant without limits costs one cached read every few seconds.
#[derive(Debug)]
pub struct RateLimiter {
    backend: Backend,
    defaults: TenantLimits,
    /// Searches for ended tasks among the open ones.
    searches: Searches,
    /// Counts of the stored bytes.
    recounts: Searches,
    limits: Mutex<LookupCache<Tenant, (UnixMillis, TenantLimits)>>,
    requests: Mutex<LookupCache<Tenant, Arc<tokio::sync::Mutex<LocalTokens>>>>,
}

impl RateLimiter {
    /// Returns a rate limiter of a backend's tenants, with the built-in default limits.
    pub fn new(backend: Backend) -> Self {
        Self::with_defaults(backend, TenantLimits::built_in_defaults())
    }

    /// As [`RateLimiter::new`], with other limits for tenants without limits of their own.
    pub fn with_defaults(backend: Backend, defaults: TenantLimits) -> Self {
        let limits = Mutex::new(LookupCache::new(MAX_CACHED_TENANTS / 2));
        let requests = Mutex::new(LookupCache::new(MAX_CACHED_TENANTS / 2));
        Self {
            backend,
            defaults,
            searches: Searches::new(SEARCH_INTERVAL),
            recounts: Searches::new(RECOUNT_INTERVAL),
            limits,
            requests,
        }
    }

    pub(crate) const fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(crate) const fn searches(&self) -> &Searches {
        &self.searches
    }

    pub(crate) const fn recounts(&self) -> &Searches {
        &self.recounts
    }

    /// Returns the limits in force for a tenant, cached for a few seconds.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn limits(&self, tenant: &Tenant, now: UnixMillis) -> Result<TenantLimits> {
        let remembered = self.limits.lock().unwrap_or_else(PoisonError::into_inner).get(tenant);
        if let Some((_, limits)) = remembered.filter(|(until, _)| now < *until) {
            return Ok(limits);
        }
        let limits = TenantLimits::read(&self.backend, tenant).await?.or_default(&self.defaults);
        let until = UnixMillis(now.0.saturating_add(LIMITS_TTL_MILLIS));
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), (until, limits));
        Ok(limits)
    }

    /// Takes a token for one request. Returns `None` if the tenant's requests are not limited.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn take_request(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<RateLimitStatus>> {
        let Some(request_limit) = RequestLimit::from_limits(&self.limits(tenant, now).await?) else { return Ok(None) };
        let held = self.local_tokens(tenant);
        // Sequential per tenant: one prefetched block serves the requests that wait.
        let mut held = held.lock().await;
        let allowed = held.block.take_one(request_limit.max_block_age_ms, now)
            || (held.empty_until.is_none_or(|until| now >= until)
                && self.fetch(tenant, &mut held, &request_limit, now).await?
                && held.block.take_one(request_limit.max_block_age_ms.max(1), now));
        let level =
            held.bucket.map_or(request_limit.rate.capacity, |seen| seen.refilled(&request_limit.rate, now).level);
        let available = (level + held.block.left as f64).min(request_limit.rate.capacity);
        let available = if allowed { available } else { available.min(1.0 - f64::EPSILON) };
        Ok(Some(RateLimitStatus::new(RateLimitPolicy::Requests, &request_limit.rate, allowed, available)))
    }

    fn local_tokens(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<LocalTokens>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.get(tenant).unwrap_or_else(|| {
            let held = Arc::new(tokio::sync::Mutex::new(LocalTokens::EMPTY));
            requests.insert(tenant.clone(), Arc::clone(&held));
            held
        })
    }

    /// Replaces the block by a new one. Returns whether it has any tokens.
    async fn fetch(
        &self,
        tenant: &Tenant,
        held: &mut LocalTokens,
        request_limit: &RequestLimit,
        now: UnixMillis,
    ) -> Result<bool> {
        let rate = &request_limit.rate;
        let key = RateLimitPolicy::Requests.record_key(tenant);
        let records = self.backend.records.as_ref();
        let take = |stored: Option<TokenBucket>| {
            let mut bucket = stored.unwrap_or_else(|| TokenBucket::full(rate, now)).refilled(rate, now);
            bucket.put_back(held.block.left, held.block.taken_at);
            match bucket.take(held.block.next_size(request_limit.max_block)) {
                0 => RecordUpdate::Keep((0, bucket)),
                taken => RecordUpdate::Put { value: bucket, result: (taken, bucket) },
            }
        };
        let (taken, bucket) = records::update(records, Collection::Limits, &key, UPDATE, take).await?;
        if taken == 0 {
            // Further requests of this tenant are refused without another read.
            let wait = rate.millis_for(1.0 - bucket.level).clamp(1, MAX_BLOCK_AGE_MS as i64);
            held.empty_until = Some(UnixMillis(now.0.saturating_add(wait)));
            held.bucket = Some(bucket);
            return Ok(false);
        }
        *held = LocalTokens { block: TokenBlock::new(taken, now), bucket: Some(bucket), empty_until: None };
        Ok(true)
    }

    /// Returns the status of a tenant's page limit: allowed while a page remains. Returns `None` if pages are not
    /// limited.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn pages(&self, tenant: &Tenant, now: UnixMillis) -> Result<Option<RateLimitStatus>> {
        let Some(rate) = daily_rate(&self.limits(tenant, now).await?) else { return Ok(None) };
        let key = RateLimitPolicy::Pages.record_key(tenant);
        let (account, _) = record::read::<Account>(&self.backend, Collection::Limits, &key).await?;
        let left = account.pages_left(&rate, now);
        Ok(Some(RateLimitStatus::new(RateLimitPolicy::Pages, &rate, left >= 1.0, left)))
    }
}
