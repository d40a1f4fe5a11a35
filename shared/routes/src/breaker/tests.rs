use proptest::prelude::*;

use super::*;

const OPEN: Duration = Duration::from_secs(15);

fn acquire(breaker: &mut Breaker, now: Instant) -> BreakerTicket {
    match breaker.try_acquire(now) {
        BreakerPermit::Go(ticket) => ticket,
        BreakerPermit::Wait { .. } => panic!("the breaker lets a page through"),
    }
}

fn open_breaker(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(BreakerSettings::default());
    for _ in 0..5 {
        let ticket = acquire(&mut breaker, now);
        breaker.record_failure(ticket, now, "connection refused");
    }
    breaker
}

#[test]
fn it_opens_at_the_failure_share_once_there_are_min_calls() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    for round in 0..4 {
        let ticket = acquire(&mut breaker, now);
        assert!(!breaker.record_failure(ticket, now, "x"), "{round}");
    }
    let ticket = acquire(&mut breaker, now);
    assert!(breaker.record_failure(ticket, now, "connection refused"));
    assert_eq!((breaker.state(now), breaker.reason()), (BreakerState::Open, Some("connection refused")));
    assert_eq!(breaker.try_acquire(now), BreakerPermit::Wait { until: Some(now + OPEN) });
}

#[test]
fn an_unreachable_engine_opens_it_at_once_unless_it_has_read_a_page_recently() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    let ticket = acquire(&mut breaker, now);
    assert!(breaker.record_unreachable(ticket, now, "connection refused"));
    assert_eq!(breaker.state(now), BreakerState::Open);
    let mut breaker = Breaker::new(BreakerSettings::default());
    let first = acquire(&mut breaker, now);
    let second = acquire(&mut breaker, now);
    breaker.record_success(first, now);
    assert!(!breaker.record_unreachable(second, now, "connection refused"));
}

#[test]
fn a_few_failures_among_many_results_do_not_open_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    for call in 0..100 {
        let ticket = acquire(&mut breaker, now);
        let opened = call % 3 == 0 && breaker.record_failure(ticket, now, "x");
        let closed = call % 3 != 0 && breaker.record_success(ticket, now);
        assert!(!opened && !closed, "{call}");
    }
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn results_older_than_the_window_do_not_count() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    for _ in 0..20 {
        let ticket = acquire(&mut breaker, now);
        assert!(!breaker.record_failure(ticket, now, "x"));
        now += Duration::from_secs(20);
    }
}

#[test]
fn a_probe_closes_it_or_opens_it_for_twice_as_long() {
    let now = Instant::now();
    let mut breaker = open_breaker(now);
    let later = now + OPEN;
    assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    let probe = acquire(&mut breaker, later);
    assert!(probe.is_probe);
    assert!(matches!(breaker.try_acquire(later), BreakerPermit::Wait { .. }), "one probe at a time");
    assert!(breaker.record_failure(probe, later, "still down"));
    assert_eq!(breaker.try_acquire(later + OPEN), BreakerPermit::Wait { until: Some(later + 2 * OPEN) });
    let probe = acquire(&mut breaker, later + 2 * OPEN);
    assert!(breaker.record_success(probe, later + 2 * OPEN));
    assert_eq!((breaker.state(later + 2 * OPEN), breaker.reason()), (BreakerState::Closed, None));
}

#[test]
fn a_result_from_before_a_state_change_does_not_count() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    let early = acquire(&mut breaker, now);
    for _ in 0..5 {
        let ticket = acquire(&mut breaker, now);
        breaker.record_failure(ticket, now, "x");
    }
    assert!(!breaker.record_success(early, now));
    assert_eq!(breaker.state(now), BreakerState::Open);
}

#[test]
fn a_probe_without_a_result_does_not_keep_it_half_open() {
    let now = Instant::now();
    let mut breaker = open_breaker(now);
    let probe = acquire(&mut breaker, now + OPEN);
    breaker.release(probe);
    let second = acquire(&mut breaker, now + OPEN);
    assert!(matches!(breaker.try_acquire(now + OPEN), BreakerPermit::Wait { .. }));
    assert!(acquire(&mut breaker, now + 2 * OPEN).is_probe, "the second probe was lost");
    assert!(!breaker.record_success(second, now + 2 * OPEN));
}

#[test]
fn a_paused_engine_gets_no_page_and_a_requested_probe_is_let_through_at_once() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings::default());
    breaker.set_paused(true);
    assert_eq!(
        (breaker.try_acquire(now), breaker.state(now)),
        (BreakerPermit::Wait { until: None }, BreakerState::Paused)
    );
    breaker.set_paused(false);
    assert_eq!(breaker.state(now), BreakerState::Closed);
    let mut breaker = open_breaker(now);
    breaker.request_probe();
    assert!(acquire(&mut breaker, now).is_probe);
}

proptest! {
    #[test]
    fn an_open_breaker_lets_one_probe_through_at_a_time(steps in prop::collection::vec((0_u64..30, 0_u8..4), 1..80)) {
        let mut now = Instant::now();
        let mut breaker = open_breaker(now);
        let mut probing: Option<BreakerTicket> = None;
        for (wait, outcome) in steps {
            now += Duration::from_secs(wait);
            if breaker.state(now) == BreakerState::Closed {
                break;
            }
            if let BreakerPermit::Go(ticket) = breaker.try_acquire(now) {
                prop_assert!(ticket.is_probe);
                probing = Some(ticket);
            }
            let Some(ticket) = probing else { continue };
            match outcome {
                0 => prop_assert!(breaker.record_success(ticket, now)),
                1 => prop_assert!(breaker.record_failure(ticket, now, "x")),
                2 => breaker.release(ticket),
                _ => continue,
            }
            probing = None;
        }
    }
}
