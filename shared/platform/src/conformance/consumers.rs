//! A [`Consumer`] on every backend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use quire_tasks::{PageMessage, PageRef, ReadAs, TaskId, Tenant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LEASE, MAX_RECEIVES, SETTLE_TIME, TIMEOUT, pages_queue};
use crate::{
    Backend, Consumer, Delivery, OutgoingMessage, QueueName, Received,
    consumer::{ConcurrencyLimits, run_concurrently},
};

fn message() -> PageMessage {
    PageMessage {
        page: PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page: 1 },
        round: 1,
        read_as: ReadAs::default(),
        redact: None,
    }
}

async fn sent(backend: &Backend) -> PageMessage {
    sent_for(backend, Tenant::default().as_str()).await
}

async fn sent_for(backend: &Backend, tenant: &str) -> PageMessage {
    let message = message();
    let tenant = tenant.parse::<Tenant>().expect("a valid tenant");
    pages_queue(backend).send(vec![OutgoingMessage::new(&message, &tenant)]).await.expect("send");
    message
}

async fn next(consumer: &Consumer<PageMessage>, within: Duration) -> Option<Delivery<PageMessage>> {
    let mut received = consumer.receive(1, within).await.expect("receive");
    received.pop().map(|delivery| delivery.expect("a valid page message"))
}

/// A held lease is extended beyond its visibility timeout.
pub async fn a_held_lease_is_extended(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT);
    let message = sent(backend).await;
    let delivery = next(&consumer, TIMEOUT).await.expect("a delivery");
    assert_eq!((&delivery.message, delivery.attempt), (&message, 1));
    assert!(next(&consumer, 3 * LEASE).await.is_none(), "it is held");
    delivery.lease.acknowledge().await.expect("acknowledge");
}

/// A holder that takes longer than the consumer's limit is stuck: its message is received again.
pub async fn a_lease_held_too_long_expires(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), LEASE);
    sent(backend).await;
    let stuck = next(&consumer, TIMEOUT).await.expect("a delivery");
    let again = next(&consumer, TIMEOUT).await.expect("it is received again");
    assert_eq!((&again.message, again.attempt), (&stuck.message, 2));
    stuck.lease.acknowledge().await.expect("it has lost it");
    again.lease.release(Duration::ZERO).await.expect("the other has not");
    let last = next(&consumer, TIMEOUT).await.expect("it is still there");
    last.lease.acknowledge().await.expect("acknowledge");
}

/// A lease dropped by a panic expires.
pub async fn a_dropped_lease_expires(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT);
    sent(backend).await;
    drop(next(&consumer, TIMEOUT).await.expect("a delivery"));
    let started = Instant::now();
    let again = next(&consumer, TIMEOUT).await.expect("it is received again");
    assert!(started.elapsed() < 3 * LEASE);
    assert_eq!(again.attempt, 2);
    again.lease.acknowledge().await.expect("acknowledge");
}

/// A graceful shutdown releases more leases than one SQS batch holds.
pub async fn released_leases_are_available_at_once(backend: &Backend) {
    const COUNT: usize = 12;
    let [leaving, staying] = [(); 2].map(|()| Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT));
    let mut held = Vec::new();
    for _ in 0..COUNT {
        sent(backend).await;
        held.push(next(&leaving, TIMEOUT).await.expect("a delivery"));
    }
    let started = Instant::now();
    assert_eq!(leaving.release_held().await.expect("released"), COUNT);
    assert_eq!(leaving.release_held().await.expect("nothing is held"), 0);
    for _ in 0..COUNT {
        let delivery = next(&staying, TIMEOUT).await.expect("it is received again");
        assert_eq!(delivery.attempt, 2);
        delivery.lease.acknowledge().await.expect("acknowledge");
    }
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    drop(held);
}

/// The message may be leased by another consumer by then.
pub async fn a_released_lease_changes_nothing(backend: &Backend) {
    let [leaving, staying] = [(); 2].map(|()| Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT));
    for ending in ["acknowledge", "release", "dead-letter", "send again"] {
        sent(backend).await;
        let late = next(&leaving, TIMEOUT).await.expect("a delivery").lease;
        leaving.release_held().await.expect("released");
        let other = next(&staying, TIMEOUT).await.expect("it is received again");
        let ended = match ending {
            "acknowledge" => late.acknowledge().await,
            "release" => late.release(Duration::ZERO).await,
            "send again" => late.requeue(Duration::ZERO).await,
            _ => late.dead_letter("too late").await,
        };
        ended.expect("no error");
        assert!(next(&staying, SETTLE_TIME).await.is_none(), "{ending}: it is held");
        other.lease.release(Duration::ZERO).await.expect("release");
        let last = next(&staying, TIMEOUT).await.expect("it is still there");
        assert_eq!(last.attempt, 3, "{ending}");
        last.lease.acknowledge().await.expect("acknowledge");
    }
    assert!(backend.queue(QueueName::DeadPages).receive(1, Duration::ZERO).await.expect("receive").is_empty());
}

/// A malformed message does not affect the others.
pub async fn a_malformed_message_can_be_dead_lettered(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), TIMEOUT);
    let junk =
        OutgoingMessage { body: r#"{"v":99}"#.to_owned(), ..OutgoingMessage::new(&message(), &Tenant::default()) };
    pages_queue(backend).send(vec![junk.clone()]).await.expect("send");
    let message = sent(backend).await;
    let mut read = None;
    let mut unread = None;
    let deadline = Instant::now() + TIMEOUT;
    while (read.is_none() || unread.is_none()) && Instant::now() < deadline {
        for delivery in consumer.receive(2, SETTLE_TIME).await.expect("receive") {
            match delivery {
                Ok(delivery) => read = Some(delivery),
                Err(malformed) => unread = Some(malformed),
            }
        }
    }
    let read = read.expect("the message");
    let unread = unread.expect("the junk");
    assert_eq!((read.message, unread.body), (message, junk.body.clone()));
    read.lease.acknowledge().await.expect("acknowledge");
    unread.lease.dead_letter("of another version").await.expect("dead-letter");
    let dead = backend.queue(QueueName::DeadPages);
    let letters = dead.receive(1, TIMEOUT).await.expect("receive");
    assert_eq!(letters.iter().map(|letter| &letter.body).collect::<Vec<_>>(), [&junk.body]);
    dead.acknowledge(vec![letters[0].receipt.clone()]).await.expect("acknowledge");
}

/// A message can be requeued more often than its maximum receive count.
pub async fn a_requeued_message_starts_with_a_receive_count_of_zero(backend: &Backend) {
    const DELAY: Duration = Duration::from_secs(2);
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT);
    let message = message();
    let tenant = "acme".parse::<Tenant>().expect("a valid tenant");
    let outgoing = OutgoingMessage { trace: Some(TRACE.to_owned()), ..OutgoingMessage::new(&message, &tenant) };
    pages_queue(backend).send(vec![outgoing.clone()]).await.expect("send");
    let first = next(&consumer, TIMEOUT).await.expect("a delivery");
    first.lease.release(Duration::ZERO).await.expect("release");
    for attempt in [2].into_iter().chain([1; MAX_RECEIVES as usize]) {
        let delivery = next(&consumer, TIMEOUT).await.expect("it is received again");
        assert_eq!((&delivery.message, delivery.attempt), (&message, attempt));
        assert_eq!(delivery.trace.as_deref(), Some(TRACE));
        delivery.lease.requeue(Duration::ZERO).await.expect("sent again");
    }
    let put_off = next(&consumer, TIMEOUT).await.expect("it is received again");
    let since = Instant::now();
    put_off.lease.requeue(DELAY).await.expect("sent again");
    let [received] = pages_queue(backend).receive(1, TIMEOUT).await.expect("receive").try_into().expect("one");
    assert!(since.elapsed() + SETTLE_TIME / 10 >= DELAY, "{:?}", since.elapsed());
    let OutgoingMessage { body, group, .. } = outgoing;
    assert_eq!((received.body, received.group, received.attempt), (body, group, 1));
    pages_queue(backend).acknowledge(vec![received.receipt]).await.expect("acknowledge");
    assert!(next(&consumer, SETTLE_TIME).await.is_none(), "there is one of it");
}

/// Otherwise there would be duplicates.
pub async fn a_lost_lease_requeues_nothing(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), LEASE);
    sent(backend).await;
    let stuck = next(&consumer, TIMEOUT).await.expect("a delivery");
    let again = next(&consumer, TIMEOUT).await.expect("it is received again");
    stuck.lease.requeue(Duration::ZERO).await.expect("no error");
    assert!(next(&consumer, SETTLE_TIME).await.is_none(), "the other has it");
    again.lease.acknowledge().await.expect("acknowledge");
    assert!(next(&consumer, SETTLE_TIME).await.is_none(), "there was one of it");
}

/// The consumer loop handles messages concurrently, survives a panic, and drains on shutdown.
pub async fn a_consumer_loop_handles_messages_until_shutdown(backend: &Backend) {
    const MESSAGES: usize = 5;
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT);
    let limits = ConcurrencyLimits { max_in_flight: 2, drain_timeout: TIMEOUT, error_pause: Duration::from_millis(10) };
    for _ in 0..MESSAGES {
        sent(backend).await;
    }
    let shutdown = CancellationToken::new();
    let handled = Arc::new(AtomicUsize::new(0));
    let handle = |delivery: Received<PageMessage>| {
        let handled = Arc::clone(&handled);
        let shutdown = shutdown.clone();
        async move {
            delivery.expect("a valid page message").lease.acknowledge().await.expect("acknowledge");
            let number = handled.fetch_add(1, Ordering::Relaxed) + 1;
            assert_ne!(number, 1, "a panic of this test, which harms no other message");
            if number == MESSAGES {
                shutdown.cancel();
            }
        }
    };
    let running = run_concurrently(&consumer, limits, &shutdown, |_| true, handle);
    timeout(TIMEOUT, running).await.expect("the loop ends after shutdown").expect("no error of the queue");
    assert_eq!(handled.load(Ordering::Relaxed), MESSAGES);
    assert!(next(&consumer, SETTLE_TIME).await.is_none(), "all are acknowledged");
}

/// A tenant whose messages take forever does not stop another one, and its surplus messages spend no attempts.
pub async fn a_tenant_that_takes_all_its_slots_does_not_stop_another(backend: &Backend) {
    const STUCK: usize = 8;
    const OTHERS: usize = 3;
    let consumer = Consumer::<PageMessage>::new(pages_queue(backend), 10 * TIMEOUT);
    let limits =
        ConcurrencyLimits { max_in_flight: 3, drain_timeout: Duration::ZERO, error_pause: Duration::from_millis(10) };
    for _ in 0..STUCK {
        sent_for(backend, "stuck").await;
    }
    let shutdown = CancellationToken::new();
    let handled = Arc::new(AtomicUsize::new(0));
    let handle = |delivery: Received<PageMessage>| {
        let (handled, shutdown) = (Arc::clone(&handled), shutdown.clone());
        async move {
            let delivery = delivery.expect("a valid page message");
            if delivery.group == "stuck" {
                return std::future::pending().await;
            }
            delivery.lease.acknowledge().await.expect("acknowledge");
            if handled.fetch_add(1, Ordering::Relaxed) + 1 == OTHERS {
                shutdown.cancel();
            }
        }
    };
    let sending = async {
        for _ in 0..OTHERS {
            tokio::time::sleep(SETTLE_TIME).await;
            sent_for(backend, "other").await;
        }
    };
    let running = run_concurrently(&consumer, limits, &shutdown, |_| true, handle);
    let (ended, ()) = timeout(TIMEOUT, async { tokio::join!(running, sending) }).await.expect("the other is served");
    ended.expect("no error of the queue");
    let mut attempts = Vec::new();
    while let Some(delivery) = next(&consumer, 3 * LEASE).await {
        attempts.push(delivery.attempt);
        delivery.lease.acknowledge().await.expect("acknowledge");
    }
    assert_eq!(attempts.len(), STUCK);
    let unspent = attempts.iter().filter(|attempt| **attempt == 1).count();
    assert!(unspent >= STUCK - 2, "only two were in flight: {attempts:?}");
}
