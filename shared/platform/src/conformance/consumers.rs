//! What a [`Consumer`] promises on every home.

use std::time::{Duration, Instant};

use quire_tasks::{PageMessage, PageRef, TaskId, Tenant};
use uuid::Uuid;

use super::{A_MOMENT, AT_LENGTH, LEASE, pages_queue};
use crate::{Consumer, Delivery, Home, Outgoing, QueueName, send};

fn message() -> PageMessage {
    PageMessage { page: PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page: 1 }, round: 1 }
}

async fn sent(home: &Home) -> PageMessage {
    let message = message();
    send(&*pages_queue(home), &Tenant::default(), [message.clone()]).await.expect("send");
    message
}

async fn next(consumer: &Consumer<PageMessage>, within: Duration) -> Option<Delivery<PageMessage>> {
    let mut received = consumer.receive(1, within).await.expect("receive");
    received.pop().map(|delivery| delivery.expect("a page message"))
}

/// Three times as long as a lease, say.
pub async fn a_held_lease_is_kept_past_its_time(home: &Home) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(home), 10 * AT_LENGTH);
    let message = sent(home).await;
    let delivery = next(&consumer, AT_LENGTH).await.expect("a delivery");
    assert_eq!((&delivery.message, delivery.attempt), (&message, 1));
    assert!(next(&consumer, 3 * LEASE).await.is_none(), "it is held");
    delivery.lease.acknowledge().await.expect("acknowledge");
}

/// Whoever holds it longer than anybody may is taken for stuck.
pub async fn a_lease_held_too_long_is_given_up(home: &Home) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(home), LEASE);
    sent(home).await;
    let stuck = next(&consumer, AT_LENGTH).await.expect("a delivery");
    let again = next(&consumer, AT_LENGTH).await.expect("it comes again");
    assert_eq!((&again.message, again.attempt), (&stuck.message, 2));
    stuck.lease.acknowledge().await.expect("it has lost it");
    again.lease.release(Duration::ZERO).await.expect("the other has not");
    let last = next(&consumer, AT_LENGTH).await.expect("it is still there");
    last.lease.acknowledge().await.expect("acknowledge");
}

/// That is what becomes of the work of a task that panics.
pub async fn a_dropped_lease_runs_out(home: &Home) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(home), 10 * AT_LENGTH);
    sent(home).await;
    drop(next(&consumer, AT_LENGTH).await.expect("a delivery"));
    let started = Instant::now();
    let again = next(&consumer, AT_LENGTH).await.expect("it comes again");
    assert!(started.elapsed() < 3 * LEASE);
    assert_eq!(again.attempt, 2);
    again.lease.acknowledge().await.expect("acknowledge");
}

/// It does not hide in an error, and it does not harm its neighbors.
pub async fn an_undecodable_message_can_be_dead_lettered(home: &Home) {
    let consumer = Consumer::<PageMessage>::new(pages_queue(home), AT_LENGTH);
    let junk = Outgoing { body: r#"{"v":99}"#.to_owned(), ..Outgoing::new(&message(), &Tenant::default()) };
    pages_queue(home).send(vec![junk.clone()]).await.expect("send");
    let message = sent(home).await;
    let (mut read, mut unread) = (None, None);
    let deadline = Instant::now() + AT_LENGTH;
    while (read.is_none() || unread.is_none()) && Instant::now() < deadline {
        for delivery in consumer.receive(2, A_MOMENT).await.expect("receive") {
            match delivery {
                Ok(delivery) => read = Some(delivery),
                Err(undecodable) => unread = Some(undecodable),
            }
        }
    }
    let (read, unread) = (read.expect("the message"), unread.expect("the junk"));
    assert_eq!((read.message, unread.body), (message, junk.body.clone()));
    read.lease.acknowledge().await.expect("acknowledge");
    unread.lease.dead_letter("of another version").await.expect("dead-letter");
    let dead = home.queue(QueueName::DeadPages);
    let letters = dead.receive(1, AT_LENGTH).await.expect("receive");
    assert_eq!(letters.iter().map(|letter| &letter.body).collect::<Vec<_>>(), [&junk.body]);
    dead.acknowledge(vec![letters[0].receipt.clone()]).await.expect("acknowledge");
}
