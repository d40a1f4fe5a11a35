use std::num::NonZero;

use proptest::prelude::*;

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn limits(pages: u64, bytes: u64, open: u64) -> TenantLimits {
    TenantLimits {
        pages_per_day: NonZero::new(pages),
        stored_bytes: NonZero::new(bytes),
        open_tasks: NonZero::new(open),
        ..TenantLimits::default()
    }
}

fn asks(task: u32, pages: u64, bytes: u64) -> Reservation {
    let task = TaskId::derive_from(&[&task.to_string()]);
    Reservation { task, document: 0, round: 1, pages, bytes, opens: true }
}

#[test]
fn a_reservation_is_taken_as_a_whole_or_not_at_all() {
    let limits = limits(10, 100, 2);
    let mut account = Account::default();
    account.reserve(&asks(1, 4, 60), &limits, NOW).expect("it fits");
    let before = account.clone();
    let refused = account.reserve(&asks(2, 7, 1), &limits, NOW);
    let DailyRefusal { asked, available, retries } = daily(refused.expect_err("too many pages"));
    assert_eq!((asked, available, retries), (7, 6, true));
    let refused = account.reserve(&asks(2, 1, 41), &limits, NOW);
    assert_eq!(refused, Err(QuotaRefusal::StoredBytes { asked: 41, used: 60, quota: 100 }));
    assert_eq!(account, before, "a refused reservation takes nothing");
    account.reserve(&asks(2, 1, 1), &limits, NOW).expect("it fits");
    let refused = account.reserve(&asks(3, 1, 1), &limits, NOW);
    assert_eq!(refused, Err(QuotaRefusal::OpenTasks { open: 2, quota: 2 }));
}

struct DailyRefusal {
    asked: u64,
    available: u64,
    retries: bool,
}

fn daily(refusal: QuotaRefusal) -> DailyRefusal {
    match refusal {
        QuotaRefusal::DailyPages { asked, available, retry_after_secs, .. } => {
            DailyRefusal { asked, available, retries: retry_after_secs.is_some() }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_than_the_quota_can_never_be_reserved() {
    let refused = Account::default().reserve(&asks(1, 120_000, 1), &limits(10, 100, 1), NOW);
    assert!(!daily(refused.expect_err("too many pages")).retries);
}

#[test]
fn a_repeated_reservation_is_taken_once() {
    let limits = limits(10, 100, 2);
    let mut account = Account::default();
    for _ in 0..5 {
        account.reserve(&asks(1, 6, 60), &limits, NOW).expect("the same one");
    }
    account.commit(&asks(1, 6, 60)).expect("it is held");
    assert!(account.commit(&asks(1, 6, 60)).is_none(), "it is committed once");
    let rate = daily_rate(&limits).expect("a rate");
    assert!((account.pages_left(&rate, NOW) - 4.0).abs() < 1e-9);
    assert_eq!((account.stored_bytes(), account.open_count()), (60, 1));
}

#[test]
fn a_released_reservation_gives_everything_back_once() {
    let limits = limits(10, 100, 2);
    let mut account = Account::default();
    account.reserve(&asks(1, 6, 60), &limits, NOW).expect("it fits");
    assert!(account.release(&asks(1, 6, 60), &limits, NOW).is_some());
    assert!(account.release(&asks(1, 6, 60), &limits, NOW).is_none());
    let rate = daily_rate(&limits).expect("a rate");
    assert!((account.pages_left(&rate, NOW) - 10.0).abs() < 1e-9);
    assert_eq!((account.stored_bytes(), account.open_count()), (0, 0));
}

#[test]
fn a_reservation_is_overdue_after_half_an_hour() {
    let mut account = Account::default();
    account.reserve(&asks(1, 6, 60), &limits(10, 100, 2), NOW).expect("it fits");
    assert_eq!(account.overdue(UnixMillis(NOW.0 + 29 * 60_000)), []);
    assert_eq!(account.overdue(UnixMillis(NOW.0 + 30 * 60_000)).len(), 1);
}

#[test]
fn the_record_of_an_earlier_version_is_read_and_an_empty_one_has_no_bucket() {
    let stored = r#"{"level":-3.5,"at":1700000000000,"ample_at":1700000000000}"#;
    let account: Account = serde_json::from_str(stored).expect("an account");
    let rate = daily_rate(&limits(10, 1, 1)).expect("a rate");
    assert!((account.pages_left(&rate, NOW) + 3.5).abs() < 1e-9);
    assert_eq!(serde_json::to_string(&account).expect("JSON"), stored);
    assert_eq!(serde_json::from_str::<Account>("{}").expect("an account"), Account::default());
    assert_eq!(serde_json::to_string(&Account::default()).expect("JSON"), "{}");
}

#[test]
fn the_largest_account_fits_a_record() {
    let limits = limits(TenantLimits::HIGHEST, TenantLimits::HIGHEST_STORED_BYTES, TenantLimits::HIGHEST_OPEN_TASKS);
    let mut account = Account::default();
    for task in 0..TenantLimits::HIGHEST_OPEN_TASKS as u32 {
        let asks = asks(task, 400_000, 400_000_000_000);
        account.reserve(&asks, &limits, NOW).expect("it fits");
        if task >= MAX_HELD as u32 - 1 {
            account.commit(&asks);
        }
    }
    account.reserve(&asks(9_999, 0, 0), &limits, NOW).expect_err("it is full");
    let bytes = serde_json::to_string(&account).expect("JSON").len();
    assert!(bytes < 128 * 1024, "{bytes}");
}

proptest! {
    /// Any sequence of reservations, commits and releases: what is committed and held never exceeds a quota.
    #[test]
    fn quotas_are_never_exceeded(steps in prop::collection::vec((0_u32..12, 0_u8..3, 0_u64..8, 0_u64..40), 1..200)) {
        let limits = limits(20, 100, 4);
        let rate = daily_rate(&limits).expect("a rate");
        let mut account = Account::default();
        let mut taken = std::collections::BTreeMap::<u32, (u64, u64)>::new();
        let mut committed = (0, 0);
        for (task, step, pages, bytes) in steps {
            let asks = asks(task, pages, bytes);
            match step {
                0 => {
                    if account.reserve(&asks, &limits, NOW).is_ok() {
                        taken.insert(task, (pages, bytes));
                    } else {
                        taken.remove(&task);
                    }
                }
                1 if account.commit(&asks).is_some() => {
                    let (pages, bytes) = taken.remove(&task).expect("it was reserved");
                    committed = (committed.0 + pages, committed.1 + bytes);
                }
                2 => {
                    account.release(&asks, &limits, NOW);
                    taken.remove(&task);
                }
                _ => {}
            }
            let held = taken.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            prop_assert!(committed.0 + held.0 <= 20 && committed.1 + held.1 <= 100);
            prop_assert!((account.pages_left(&rate, NOW) - (20 - committed.0 - held.0) as f64).abs() < 1e-9);
            prop_assert_eq!(account.stored_bytes(), committed.1 + held.1);
            prop_assert!(account.open_count() <= 4);
        }
    }
}
