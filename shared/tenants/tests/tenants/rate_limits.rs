//! Rate limits across several processes.

use std::num::NonZero;

use quire_platform::Collection;
use quire_tasks::UnixMillis;
use quire_tenants::{RateLimitPolicy, RateLimitStatus, RateLimiter, TenantLimits};

use crate::{TestBackend, at_second, reservations::reservation, tenant};

async fn limited(test: &TestBackend, name: &str, limits: TenantLimits) {
    TenantLimits::change(&test.backend, &tenant(name), |_| limits).await.expect("the record is written");
}

fn requests(per_minute: u64, burst: Option<u64>) -> TenantLimits {
    TenantLimits {
        requests_per_minute: NonZero::new(per_minute),
        burst: burst.and_then(NonZero::new),
        ..TenantLimits::default()
    }
}

async fn take(limiter: &RateLimiter, name: &str, now: UnixMillis) -> RateLimitStatus {
    limiter.take_request(&tenant(name), now).await.expect("the request is counted").expect("the tenant is limited")
}

#[tokio::test]
async fn a_tenant_without_limits_has_no_record() {
    let test = TestBackend::new();
    let limiter = RateLimiter::new(test.backend.clone());
    let acme = tenant("acme");
    for second in 0..20 {
        assert_eq!(limiter.take_request(&acme, at_second(second)).await.expect("the record can be read"), None);
        assert_eq!(limiter.pages(&acme, at_second(second)).await.expect("the record can be read"), None);
        let asks = reservation("a task", 1_000);
        limiter.reserve(&acme, &asks, at_second(second)).await.expect("nothing is limited");
        limiter.commit(&acme, &asks, at_second(second)).await.expect("the call succeeds");
    }
    assert!(
        test.backend.records.list_partition(Collection::Limits, "acme", None, 10).await.expect("a list").is_empty()
    );
}

#[tokio::test]
async fn a_burst_is_followed_by_the_refill_rate() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(10))).await;
    let limiter = RateLimiter::new(test.backend.clone());
    for left in (0..10).rev() {
        let taken = take(&limiter, "acme", at_second(0)).await;
        assert!(taken.allowed);
        assert_eq!((taken.remaining, taken.reset_secs, taken.retry_after_secs), (left, 10 - left, 0));
        assert_eq!((taken.policy, taken.quota, taken.window_secs), (RateLimitPolicy::Requests, 60, 60));
    }
    let refused = take(&limiter, "acme", at_second(0)).await;
    assert_eq!((refused.allowed, refused.remaining, refused.retry_after_secs), (false, 0, 1));
    let mut later = Vec::new();
    for _ in 0..4 {
        later.push(take(&limiter, "acme", at_second(3)).await.allowed);
    }
    assert_eq!(later, [true, true, true, false]);
}

#[tokio::test]
async fn two_processes_share_a_limit_without_a_write_per_request() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(6_000, None)).await;
    let processes = [RateLimiter::new(test.backend.clone()), RateLimiter::new(test.backend.clone())];
    let mut allowed = 0;
    let mut versions = std::collections::BTreeSet::new();
    for asked in 0..8_000 {
        // 8,000 requests in 1.3 seconds.
        let now = UnixMillis(at_second(0).0 + asked / 6);
        allowed += u64::from(take(&processes[asked as usize % 2], "acme", now).await.allowed);
        if asked % 10 == 0 {
            let record =
                test.backend.records.read(Collection::Limits, "acme/requests").await.expect("the record can be read");
            versions.extend(record.map(|record| record.version));
        }
    }
    // The burst of 6,000 and the refill of 100 per second.
    assert!((5_800..=6_134).contains(&allowed), "{allowed}");
    assert!(versions.len() < 250, "{} writes", versions.len());
}

#[tokio::test]
async fn concurrent_processes_never_exceed_the_burst() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(100))).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let backend = test.backend.clone();
        asking.spawn(async move {
            let limiter = RateLimiter::new(backend);
            let mut allowed = 0;
            for _ in 0..100 {
                allowed += u64::from(take(&limiter, "acme", at_second(0)).await.allowed);
            }
            allowed
        });
    }
    let allowed: u64 = asking.join_all().await.into_iter().sum();
    assert!((95..=100).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn a_process_with_few_requests_leaves_tokens_to_others() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(600, Some(100))).await;
    let busy = RateLimiter::new(test.backend.clone());
    let idle = RateLimiter::new(test.backend.clone());
    let mut refused = 0;
    // Nine requests per second, of ten that are allowed, for three minutes.
    for tenth in 0..1_800_i64 {
        let now = UnixMillis(at_second(0).0 + tenth * 100);
        let by = if tenth % 30 == 0 { &idle } else { &busy };
        if tenth % 10 != 5 {
            refused += u64::from(!take(by, "acme", now).await.allowed);
        }
    }
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn tenants_have_separate_limits() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(1))).await;
    limited(&test, "other", requests(60, Some(1))).await;
    let limiter = RateLimiter::new(test.backend.clone());
    assert!(take(&limiter, "acme", at_second(0)).await.allowed);
    assert!(!take(&limiter, "acme", at_second(0)).await.allowed);
    assert!(take(&limiter, "other", at_second(0)).await.allowed);
}

#[tokio::test]
async fn a_changed_limit_applies_within_seconds() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(1))).await;
    let limiter = RateLimiter::new(test.backend.clone());
    let acme = tenant("acme");
    take(&limiter, "acme", at_second(0)).await;
    assert!(!take(&limiter, "acme", at_second(0)).await.allowed);
    limited(&test, "acme", TenantLimits::default()).await;
    assert_eq!(
        TenantLimits::read(&test.backend, &acme).await.expect("the record can be read"),
        TenantLimits::default()
    );
    assert_eq!(limiter.take_request(&acme, at_second(6)).await.expect("the record can be read"), None);
}
