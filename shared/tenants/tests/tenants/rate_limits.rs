//! Limits over several processes.

use std::num::NonZero;

use quire_platform::Collection;
use quire_tasks::UnixMillis;
use quire_tenants::{RateLimitPolicy, RateLimitStatus, RateLimiter, TenantLimits};

use crate::{TestBackend, at_second, tenant};

async fn limited(test: &TestBackend, name: &str, limits: TenantLimits) {
    TenantLimits::change(&test.backend, &tenant(name), |_| limits).await.expect("it is written");
}

fn requests(per_minute: u64, burst: Option<u64>) -> TenantLimits {
    TenantLimits {
        requests_per_minute: NonZero::new(per_minute),
        burst: burst.and_then(NonZero::new),
        pages_per_day: None,
    }
}

fn pages(per_day: u64) -> TenantLimits {
    TenantLimits { pages_per_day: NonZero::new(per_day), ..TenantLimits::default() }
}

async fn take(allowance: &RateLimiter, name: &str, now: UnixMillis) -> RateLimitStatus {
    allowance.take_request(&tenant(name), now).await.expect("it is counted").expect("it is limited")
}

#[tokio::test]
async fn a_tenant_without_limits_costs_no_record() {
    let test = TestBackend::new();
    let (allowance, acme) = (RateLimiter::new(test.backend.clone()), tenant("acme"));
    for second in 0..20 {
        assert_eq!(allowance.take_request(&acme, at_second(second)).await.expect("it is read"), None);
        assert_eq!(allowance.pages(&acme, at_second(second)).await.expect("it is read"), None);
        allowance.charge_pages(&acme, 1_000, at_second(second)).await.expect("nothing is charged");
    }
    assert!(
        test.backend.records.list_partition(Collection::Limits, "acme", None, 10).await.expect("a list").is_empty()
    );
}

#[tokio::test]
async fn a_burst_is_taken_at_once_and_then_what_comes_in() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(10))).await;
    let allowance = RateLimiter::new(test.backend.clone());
    for left in (0..10).rev() {
        let taken = take(&allowance, "acme", at_second(0)).await;
        assert!(taken.allowed);
        assert_eq!((taken.remaining, taken.reset_secs, taken.retry_after_secs), (left, 10 - left, 0));
        assert_eq!((taken.policy, taken.quota, taken.window_secs), (RateLimitPolicy::Requests, 60, 60));
    }
    let refused = take(&allowance, "acme", at_second(0)).await;
    assert_eq!((refused.allowed, refused.remaining, refused.retry_after_secs), (false, 0, 1));
    let mut later = Vec::new();
    for _ in 0..4 {
        later.push(take(&allowance, "acme", at_second(3)).await.allowed);
    }
    assert_eq!(later, [true, true, true, false]);
}

#[tokio::test]
async fn two_processes_share_one_limit_and_do_not_write_at_every_request() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(6_000, None)).await;
    let doors = [RateLimiter::new(test.backend.clone()), RateLimiter::new(test.backend.clone())];
    let (mut allowed, mut versions) = (0, std::collections::BTreeSet::new());
    for asked in 0..8_000 {
        // All of it within a second and a half.
        let now = UnixMillis(at_second(0).0 + asked / 6);
        allowed += u64::from(take(&doors[asked as usize % 2], "acme", now).await.allowed);
        if asked % 10 == 0 {
            let record = test.backend.records.read(Collection::Limits, "acme/requests").await.expect("it is read");
            versions.extend(record.map(|record| record.version));
        }
    }
    // A hundred come in a second: with those that come in while it is asked, never more than the burst and they.
    assert!((5_800..=6_134).contains(&allowed), "{allowed}");
    assert!(versions.len() < 250, "{} writes", versions.len());
}

#[tokio::test]
async fn processes_at_the_same_time_never_let_more_through_than_the_burst() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(100))).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let backend = test.backend.clone();
        asking.spawn(async move {
            let allowance = RateLimiter::new(backend);
            let mut allowed = 0;
            for _ in 0..100 {
                allowed += u64::from(take(&allowance, "acme", at_second(0)).await.allowed);
            }
            allowed
        });
    }
    let allowed: u64 = asking.join_all().await.into_iter().sum();
    assert!((95..=100).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn a_process_that_asks_seldom_costs_the_others_next_to_nothing() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(600, Some(100))).await;
    let (busy, seldom) = (RateLimiter::new(test.backend.clone()), RateLimiter::new(test.backend.clone()));
    let mut refused = 0;
    // Nine a second of the ten that may be, for three minutes.
    for tenth in 0..1_800_i64 {
        let now = UnixMillis(at_second(0).0 + tenth * 100);
        let by = if tenth % 30 == 0 { &seldom } else { &busy };
        if tenth % 10 != 5 {
            refused += u64::from(!take(by, "acme", now).await.allowed);
        }
    }
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn one_tenant_does_not_use_up_what_is_anothers() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(1))).await;
    limited(&test, "other", requests(60, Some(1))).await;
    let allowance = RateLimiter::new(test.backend.clone());
    assert!(take(&allowance, "acme", at_second(0)).await.allowed);
    assert!(!take(&allowance, "acme", at_second(0)).await.allowed);
    assert!(take(&allowance, "other", at_second(0)).await.allowed);
}

#[tokio::test]
async fn pages_may_lead_into_debt_which_is_paid_first() {
    let test = TestBackend::new();
    limited(&test, "acme", pages(86_400)).await;
    let (allowance, acme) = (RateLimiter::new(test.backend.clone()), tenant("acme"));
    let standing =
        async |second| allowance.pages(&acme, at_second(second)).await.expect("it is read").expect("a limit");
    let before = standing(0).await;
    assert_eq!((before.allowed, before.remaining, before.quota, before.window_secs), (true, 86_400, 86_400, 86_400));
    allowance.charge_pages(&acme, 86_399, at_second(0)).await.expect("it is charged");
    assert_eq!((standing(0).await.allowed, standing(0).await.remaining), (true, 1));
    allowance.charge_pages(&acme, 301, at_second(0)).await.expect("it is charged");
    let owing = standing(0).await;
    assert_eq!((owing.allowed, owing.remaining, owing.retry_after_secs), (false, 0, 301));
    assert!(!standing(300).await.allowed);
    assert!(standing(301).await.allowed);
}

#[tokio::test]
async fn a_limit_that_is_changed_or_lifted_holds_within_seconds() {
    let test = TestBackend::new();
    limited(&test, "acme", requests(60, Some(1))).await;
    let (allowance, acme) = (RateLimiter::new(test.backend.clone()), tenant("acme"));
    take(&allowance, "acme", at_second(0)).await;
    assert!(!take(&allowance, "acme", at_second(0)).await.allowed);
    limited(&test, "acme", TenantLimits::default()).await;
    assert_eq!(TenantLimits::read(&test.backend, &acme).await.expect("it is read"), TenantLimits::default());
    assert_eq!(allowance.take_request(&acme, at_second(6)).await.expect("it is read"), None);
}
