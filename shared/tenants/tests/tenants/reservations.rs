//! Reservations against quotas, across several processes.

use std::num::NonZero;

use quire_platform::{Backend, Collection};
use quire_platform_embedded::Embedded;
use quire_tasks::{Document, DocumentFormat, DocumentState, SplitDocument, Task, TaskId, UnixMillis};
use quire_tenants::{QuotaRefusal, RateLimiter, Reservation, ReserveError, TenantLimits};

use crate::{TestBackend, at_second, tenant};

/// Returns a reservation of a new task.
pub(crate) fn reservation(task: &str, pages: u64) -> Reservation {
    Reservation { task: TaskId::derive_from(&[task]), document: 0, round: 1, pages, bytes: 10 * pages, opens: true }
}

async fn limited(backend: &Backend, limits: TenantLimits) -> RateLimiter {
    TenantLimits::change(backend, &tenant("acme"), |_| limits).await.expect("the record is written");
    RateLimiter::new(backend.clone())
}

fn quotas(pages: u64, bytes: u64, open: u64) -> TenantLimits {
    TenantLimits {
        pages_per_day: NonZero::new(pages),
        stored_bytes: NonZero::new(bytes),
        open_tasks: NonZero::new(open),
        ..TenantLimits::default()
    }
}

async fn create(backend: &Backend, task: &str, pages: u32) -> Task {
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
    let documents = vec![Document::new(1, None, split)];
    let task = Task::new(TaskId::derive_from(&[task]), tenant("acme"), quire_platform::now(), documents, None);
    backend.tasks.create(task).await.expect("the task is created").task().clone()
}

fn refusal(reserved: Result<(), ReserveError>) -> QuotaRefusal {
    match reserved.expect_err("it is refused") {
        ReserveError::Refused(refusal) => refusal,
        ReserveError::Backend(error) => panic!("{error}"),
    }
}

/// The named example: a quota of 10 pages, and 120,000 pages at once.
#[tokio::test]
async fn more_pages_than_the_quota_are_refused_before_anything_is_stored() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, TenantLimits { pages_per_day: NonZero::new(10), ..Default::default() }).await;
    let acme = tenant("acme");
    let refused = refusal(limiter.reserve(&acme, &reservation("many", 120_000), at_second(0)).await);
    assert_eq!(refused, QuotaRefusal::TaskPages { asked: 120_000, allowed: 10_000 });
    let refused = refusal(limiter.reserve(&acme, &reservation("many", 3_000), at_second(0)).await);
    let expected = QuotaRefusal::DailyPages { asked: 3_000, available: 10, quota: 10, retry_after_secs: None };
    assert_eq!(refused, expected);
    limiter.reserve(&acme, &reservation("few", 10), at_second(0)).await.expect("it fits");
}

/// Two processes, each with its own connections, and many concurrent submissions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_submissions_of_two_processes_never_exceed_the_quota() {
    let test = TestBackend::new();
    let first = limited(&test.backend, quotas(100, 900, 1_000)).await;
    let other = Embedded::open(test.folder.path(), "another").expect("open the backend");
    let second = RateLimiter::new(other.backend());
    let limiters = [std::sync::Arc::new(first), std::sync::Arc::new(second)];
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..120_u32 {
        let limiter = std::sync::Arc::clone(&limiters[number as usize % 2]);
        asking.spawn(async move {
            let asks = reservation(&number.to_string(), u64::from(number % 7));
            let reserved = limiter.reserve(&tenant("acme"), &asks, at_second(0)).await;
            match reserved {
                Ok(()) if number % 5 == 0 => {
                    limiter.release(&tenant("acme"), &asks, at_second(0)).await.expect("released");
                    0
                }
                Ok(()) => {
                    limiter.commit(&tenant("acme"), &asks, at_second(0)).await.expect("committed");
                    asks.pages
                }
                Err(ReserveError::Refused(_)) => 0,
                Err(ReserveError::Backend(error)) => panic!("{error}"),
            }
        });
    }
    let mut taken: u64 = asking.join_all().await.into_iter().sum();
    // Reservations that were released later may have displaced others: fill the rest one page at a time.
    for number in 0..100_u32 {
        let asks = reservation(&format!("single {number}"), 1);
        match limiters[number as usize % 2].reserve(&tenant("acme"), &asks, at_second(0)).await {
            Ok(()) => taken += asks.pages,
            Err(ReserveError::Refused(_)) => break,
            Err(ReserveError::Backend(error)) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 90, "900 bytes are 90 pages");
    let used = limiters[0].quota_use(&tenant("acme"), at_second(0)).await.expect("the use");
    assert_eq!((used.pages_per_day, used.stored_bytes), (taken, 10 * taken));
}

#[tokio::test]
async fn open_tasks_are_limited_and_ended_ones_do_not_count() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, quotas(100, 10_000, 2)).await;
    let acme = tenant("acme");
    for task in ["one", "two"] {
        limiter.reserve(&acme, &reservation(task, 1), at_second(0)).await.expect("it fits");
        create(&test.backend, task, 1).await;
        limiter.commit(&acme, &reservation(task, 1), at_second(0)).await.expect("committed");
    }
    let refused = refusal(limiter.reserve(&acme, &reservation("three", 1), at_second(0)).await);
    assert_eq!(refused, QuotaRefusal::OpenTasks { open: 2, quota: 2 });
    test.backend.tasks.cancel(TaskId::derive_from(&["one"])).await.expect("canceled");
    limiter.reserve(&acme, &reservation("three", 1), at_second(2)).await.expect("one has ended");
}

#[tokio::test]
async fn deleted_documents_free_their_bytes_once() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, quotas(1_000, 100, 100)).await;
    let acme = tenant("acme");
    limiter.reserve(&acme, &reservation("one", 10), at_second(0)).await.expect("it fits");
    let task = create(&test.backend, "one", 10).await;
    limiter.commit(&acme, &reservation("one", 10), at_second(0)).await.expect("committed");
    let refused = refusal(limiter.reserve(&acme, &reservation("two", 1), at_second(0)).await);
    assert_eq!(refused, QuotaRefusal::StoredBytes { asked: 10, used: 100, quota: 100 });
    for _ in 0..3 {
        limiter.forget(&task).await.expect("forgotten");
    }
    assert_eq!(limiter.quota_use(&acme, at_second(0)).await.expect("the use").stored_bytes, 0);
    limiter.reserve(&acme, &reservation("two", 10), at_second(0)).await.expect("it fits");
}

#[tokio::test]
async fn an_interrupted_submission_gives_its_reservation_back_unless_its_task_exists() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, quotas(10, 100, 2)).await;
    let acme = tenant("acme");
    for task in ["created", "lost"] {
        limiter.reserve(&acme, &reservation(task, 5), at_second(0)).await.expect("it fits");
    }
    create(&test.backend, "created", 5).await;
    // A crash: neither is committed or released. The bucket refills a fifth of a page in half an hour.
    let refused = refusal(limiter.reserve(&acme, &reservation("next", 5), at_second(60)).await);
    assert!(matches!(refused, QuotaRefusal::DailyPages { available: 0, .. }), "{refused:?}");
    limiter.reserve(&acme, &reservation("next", 5), at_second(1_801)).await.expect("the lost one is given back");
    let refused = refusal(limiter.reserve(&acme, &reservation("more", 5), at_second(1_801)).await);
    assert!(matches!(refused, QuotaRefusal::DailyPages { available: 0, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_redelivered_document_is_charged_once() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, quotas(10, 1_000, 2)).await;
    let acme = tenant("acme");
    let document = Reservation { document: 1, opens: false, ..reservation("a task", 6) };
    for _ in 0..3 {
        limiter.reserve(&acme, &document, at_second(0)).await.expect("the same document");
    }
    limiter.commit(&acme, &document, at_second(0)).await.expect("committed");
    let left = limiter.pages(&acme, at_second(0)).await.expect("the status").expect("a limit").remaining;
    assert_eq!(left, 4);
}

#[tokio::test]
async fn pages_refill_over_the_day_and_canceled_ones_come_back() {
    let test = TestBackend::new();
    let limits = TenantLimits { pages_per_task: NonZero::new(100_000), ..quotas(86_400, 1 << 40, 100) };
    let limiter = limited(&test.backend, limits).await;
    let acme = tenant("acme");
    let status = async |second| {
        limiter.pages(&acme, at_second(second)).await.expect("the record can be read").expect("the tenant is limited")
    };
    let before = status(0).await;
    assert_eq!((before.allowed, before.remaining, before.quota, before.window_secs), (true, 86_400, 86_400, 86_400));
    limiter.reserve(&acme, &reservation("all", 86_400), at_second(0)).await.expect("it fits");
    assert_eq!((status(0).await.allowed, status(0).await.retry_after_secs), (false, 1));
    let refused = refusal(limiter.reserve(&acme, &reservation("next", 301), at_second(0)).await);
    assert!(matches!(refused, QuotaRefusal::DailyPages { retry_after_secs: Some(301), .. }), "{refused:?}");
    limiter.give_back(&acme, 400, at_second(0)).await.expect("given back");
    limiter.reserve(&acme, &reservation("next", 301), at_second(0)).await.expect("it fits");
}

#[tokio::test]
async fn default_limits_apply_to_tenants_without_their_own() {
    let test = TestBackend::new();
    let defaults = TenantLimits { pages_per_day: NonZero::new(5), ..TenantLimits::built_in_defaults() };
    let limiter = RateLimiter::with_defaults(test.backend.clone(), defaults);
    refusal(limiter.reserve(&tenant("new"), &reservation("a", 6), at_second(0)).await);
    TenantLimits::change(&test.backend, &tenant("old"), |limits| TenantLimits {
        pages_per_day: NonZero::new(100),
        ..limits
    })
    .await
    .expect("the record is written");
    limiter.reserve(&tenant("old"), &reservation("b", 6), at_second(0)).await.expect("it has its own quota");
}

#[tokio::test]
async fn a_request_that_is_refused_leaves_no_record() {
    let test = TestBackend::new();
    let limiter = limited(&test.backend, quotas(10, 100, 2)).await;
    refusal(limiter.reserve(&tenant("acme"), &reservation("a", 11), UnixMillis(at_second(0).0)).await);
    let listed = test.backend.records.list_partition(Collection::Limits, "acme", None, 10).await.expect("a list");
    assert_eq!(listed, []);
}
