//! The queues.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{LEASE, MAX_RECEIVES, SETTLE_TIME, TIMEOUT, pages_queue, unique};
use crate::{Backend, OutgoingMessage, Queue, QueueDepth, QueueName, Receipt, ReceivedMessage};

/// The messages of one test, in a queue that other tests use, too.
struct Mail {
    queue: Arc<dyn Queue>,
    mark: String,
}

impl Mail {
    fn new(backend: &Backend) -> Self {
        Self { queue: pages_queue(backend), mark: unique("mail") }
    }

    /// Returns the same messages in another queue.
    fn at(&self, backend: &Backend, name: QueueName) -> Self {
        Self { queue: backend.queue(name), mark: self.mark.clone() }
    }

    async fn send(&self, names: impl IntoIterator<Item = impl ToString>) {
        self.send_delayed(names, Duration::ZERO).await;
    }

    async fn send_delayed(&self, names: impl IntoIterator<Item = impl ToString>, delay: Duration) {
        let messages = names.into_iter().map(|name| self.outgoing(&name.to_string(), delay)).collect();
        self.queue.send(messages).await.expect("send");
    }

    fn outgoing(&self, name: &str, delay: Duration) -> OutgoingMessage {
        OutgoingMessage { body: format!("{} {name}", self.mark), group: self.mark.clone(), delay, trace: None }
    }

    /// Receives up to `count` of this test's messages within a time limit.
    async fn receive(&self, count: usize, within: Duration) -> Vec<ReceivedMessage> {
        let deadline = Instant::now() + within;
        let mut mine = Vec::new();
        while mine.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let max = (count - mine.len()).min(10);
            let received = self.queue.receive(max, left.min(SETTLE_TIME)).await.expect("receive");
            mine.extend(received.into_iter().filter(|message| message.body.starts_with(&self.mark)));
            if left.is_zero() {
                break;
            }
        }
        mine
    }

    async fn next(&self) -> ReceivedMessage {
        self.receive(1, TIMEOUT).await.pop().expect("a message comes")
    }

    async fn nothing_for(&self, time: Duration) {
        let received = self.receive(1, time).await;
        assert!(received.is_empty(), "{received:?}");
    }

    async fn acknowledge(&self, received: &[ReceivedMessage]) {
        self.queue.acknowledge(receipts(received)).await.expect("acknowledge");
    }
}

fn receipts(received: &[ReceivedMessage]) -> Vec<Receipt> {
    received.iter().map(|message| message.receipt.clone()).collect()
}

fn bodies(received: &[ReceivedMessage]) -> BTreeSet<&str> {
    received.iter().map(|message| message.body.as_str()).collect()
}

/// A leased message is invisible, and an acknowledged one is deleted.
pub async fn a_message_is_received_once_and_deleted_when_acknowledged(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["only"]).await;
    let message = mail.next().await;
    assert_eq!((message.body.clone(), message.group.as_str()), (format!("{} only", mail.mark), mail.mark.as_str()));
    assert_eq!((message.attempt, message.reason.as_ref()), (1, None));
    mail.nothing_for(LEASE / 4).await;
    mail.acknowledge(&[message]).await;
    mail.nothing_for(LEASE + SETTLE_TIME).await;
}

/// Ten is the batch size of SQS and must not limit callers.
pub async fn batches_over_ten_are_sent_received_and_acknowledged(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.queue.send(Vec::new()).await.expect("nothing is sent");
    mail.send(0..25).await;
    let received = mail.receive(25, TIMEOUT).await;
    assert_eq!(bodies(&received).len(), 25);
    assert!(mail.queue.extend(receipts(&received)).await.expect("extend").is_empty());
    mail.acknowledge(&received).await;
    mail.nothing_for(LEASE + SETTLE_TIME).await;
}

/// Ten of these messages exceed the size limit of one SQS call.
pub async fn messages_too_large_for_one_call_are_all_sent(backend: &Backend) {
    let mail = Mail::new(backend);
    let large = "的".repeat(40_000);
    mail.send((0..12).map(|number| format!("{number} {large}"))).await;
    let received = mail.receive(12, TIMEOUT).await;
    assert_eq!(bodies(&received).len(), 12);
    assert!(received.iter().all(|message| message.body.ends_with(&large)));
    mail.acknowledge(&received).await;
}

/// A crashed consumer's message is received again.
pub async fn a_message_is_received_again_after_its_visibility_timeout(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["again"]).await;
    let first = mail.next().await;
    let started = Instant::now();
    let second = mail.next().await;
    assert!(started.elapsed() > LEASE / 2, "it was leased all the while");
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.body, second.body);
    mail.acknowledge(&[second]).await;
}

/// An extended lease outlives the visibility timeout.
pub async fn an_extended_lease_keeps_its_message(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["long"]).await;
    let message = mail.next().await;
    for _ in 0..4 {
        mail.nothing_for(LEASE / 2).await;
        let lost = mail.queue.extend(receipts(std::slice::from_ref(&message))).await.expect("extend");
        assert!(lost.is_empty());
    }
    mail.acknowledge(&[message]).await;
}

/// `extend` returns the leases that have ended.
pub async fn a_lost_lease_is_reported_when_it_is_extended(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["lost"]).await;
    let lost = mail.next().await;
    let found = mail.next().await;
    mail.send(["kept"]).await;
    let kept = mail.next().await;
    let all = receipts(&[lost.clone(), found.clone(), kept.clone()]);
    assert_eq!(mail.queue.extend(all).await.expect("extend"), [lost.receipt]);
    mail.acknowledge(&[found, kept]).await;
}

/// Receipts of ended leases and of deleted messages are ignored.
pub async fn a_stale_receipt_changes_nothing(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["contended"]).await;
    let stale = mail.next().await;
    let fresh = mail.next().await;
    let try_all = async |receipt: &ReceivedMessage| {
        mail.acknowledge(std::slice::from_ref(receipt)).await;
        mail.queue.release(vec![receipt.receipt.clone()], Duration::ZERO).await.expect("release");
        mail.queue.dead_letter(receipt, "stale").await.expect("dead-letter");
    };
    try_all(&stale).await;
    mail.nothing_for(LEASE / 4).await;
    let lost = mail.queue.extend(receipts(std::slice::from_ref(&fresh))).await.expect("extend");
    assert!(lost.is_empty(), "the fresh lease still holds");
    mail.acknowledge(std::slice::from_ref(&fresh)).await;
    try_all(&fresh).await;
    mail.nothing_for(LEASE + SETTLE_TIME).await;
    mail.at(backend, QueueName::DeadPages).nothing_for(SETTLE_TIME).await;
}

/// A delay is neither shortened nor much exceeded.
pub async fn a_delayed_message_is_received_after_its_delay(backend: &Backend) {
    let mail = Mail::new(backend);
    let started = Instant::now();
    mail.send_delayed(["late"], Duration::from_secs(2)).await;
    mail.send(["prompt"]).await;
    let prompt = mail.next().await;
    let late = mail.next().await;
    assert!(prompt.body.ends_with("prompt") && late.body.ends_with("late"));
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(1500) && waited < Duration::from_secs(6), "{waited:?}");
    mail.acknowledge(&[prompt, late]).await;
}

/// With and without a delay.
pub async fn a_released_message_is_received_again_after_its_delay(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(["released"]).await;
    let first = mail.next().await;
    mail.queue.release(vec![first.receipt], Duration::ZERO).await.expect("release");
    let started = Instant::now();
    let second = mail.next().await;
    assert!(started.elapsed() < LEASE, "before its lease would have ended");
    assert_eq!(second.attempt, 2);
    let started = Instant::now();
    mail.queue.release(vec![second.receipt], LEASE + SETTLE_TIME).await.expect("release");
    let third = mail.next().await;
    assert!(started.elapsed() > LEASE, "{:?}", started.elapsed());
    mail.acknowledge(&[third]).await;
}

/// After the last receive, the message is only in the dead-letter queue.
pub async fn a_message_received_too_often_goes_to_the_dead_letter_queue(backend: &Backend) {
    let mail = Mail::new(backend);
    let dead = mail.at(backend, QueueName::DeadPages);
    mail.send(["poison"]).await;
    for attempt in 1..=MAX_RECEIVES {
        let message = mail.next().await;
        assert_eq!(message.attempt, attempt);
        mail.queue.release(vec![message.receipt], Duration::ZERO).await.expect("release");
    }
    mail.nothing_for(SETTLE_TIME).await;
    let letter = dead.next().await;
    assert_eq!(letter.body, format!("{} poison", mail.mark));
    assert_eq!(letter.group, mail.mark);
    assert_eq!(letter.reason, None, "the queue cannot know why");
    assert!(letter.attempt >= 1);
    dead.acknowledge(&[letter]).await;
    mail.nothing_for(SETTLE_TIME).await;
}

/// The reason is stored with the message.
pub async fn a_message_is_dead_lettered_with_its_reason(backend: &Backend) {
    let mail = Mail::new(backend);
    let dead = mail.at(backend, QueueName::DeadPages);
    mail.send(["hopeless"]).await;
    let message = mail.next().await;
    mail.queue.dead_letter(&message, "the receiver said 410").await.expect("dead-letter");
    let letter = dead.next().await;
    assert_eq!((letter.body, letter.group), (message.body, message.group));
    assert_eq!(letter.reason.as_deref(), Some("the receiver said 410"));
    dead.queue.acknowledge(vec![letter.receipt]).await.expect("acknowledge");
    mail.nothing_for(LEASE + SETTLE_TIME).await;
}

/// The trace context survives every receive, and the dead-letter queue.
pub async fn a_message_keeps_its_trace(backend: &Backend) {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mail = Mail::new(backend);
    let traced = OutgoingMessage { trace: Some(TRACE.to_owned()), ..mail.outgoing("traced", Duration::ZERO) };
    mail.queue.send(vec![traced, mail.outgoing("plain", Duration::ZERO)]).await.expect("send");
    let received = mail.receive(2, TIMEOUT).await;
    let traced = &received[0];
    let plain = &received[1];
    let (traced, plain) = if traced.body.ends_with("plain") { (plain, traced) } else { (traced, plain) };
    assert_eq!((traced.trace.as_deref(), plain.trace.as_ref()), (Some(TRACE), None));
    mail.queue.dead_letter(traced, "hopeless").await.expect("dead-letter");
    mail.acknowledge(std::slice::from_ref(plain)).await;
    let letter = mail.at(backend, QueueName::DeadPages).next().await;
    assert_eq!((letter.trace.as_deref(), letter.reason.as_deref()), (Some(TRACE), Some("hopeless")));
    mail.at(backend, QueueName::DeadPages).acknowledge(&[letter]).await;
}

/// A tenant with few messages does not wait behind a tenant with many.
pub async fn groups_are_served_fairly(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send(0..50).await;
    let small = OutgoingMessage { group: unique("small"), ..mail.outgoing("small", Duration::ZERO) };
    mail.queue.send(vec![small]).await.expect("send");
    let mut before = 0;
    loop {
        let message = mail.next().await;
        mail.acknowledge(std::slice::from_ref(&message)).await;
        if message.body.ends_with("small") {
            break;
        }
        before += 1;
        assert!(before < 10, "the small group still waits");
    }
    let rest = mail.receive(50 - before, TIMEOUT).await;
    assert_eq!(rest.len(), 50 - before, "and the large one is served in the end");
    mail.acknowledge(&rest).await;
}

/// Long polling returns as soon as there is a message.
pub async fn a_waiting_receive_wakes_up_for_a_message(backend: &Backend) {
    let mail = Arc::new(Mail::new(backend));
    let waiting = tokio::spawn({
        let mail = Arc::clone(&mail);
        async move {
            let received = mail.queue.receive(1, TIMEOUT).await.expect("receive");
            (received, Instant::now())
        }
    });
    tokio::time::sleep(SETTLE_TIME / 2).await;
    let sent = Instant::now();
    mail.send(["awaited"]).await;
    let (received, woken) = waiting.await.expect("woken");
    assert_eq!(bodies(&received), BTreeSet::from([format!("{} awaited", mail.mark).as_str()]));
    assert!(woken.duration_since(sent) < 2 * SETTLE_TIME);
    mail.acknowledge(&received).await;
}

/// Long polling returns empty after its timeout.
pub async fn an_empty_receive_returns_after_its_wait(backend: &Backend) {
    let queue = backend.queue(QueueName::Documents);
    for wait in [Duration::ZERO, SETTLE_TIME] {
        let started = Instant::now();
        assert!(queue.receive(10, wait).await.expect("receive").is_empty());
        let waited = started.elapsed();
        assert!(waited >= wait.mul_f32(0.9) && waited < wait + 2 * SETTLE_TIME, "{waited:?} for {wait:?}");
    }
}

/// The depth counts ready, leased and delayed messages.
pub async fn depth_counts_ready_leased_and_delayed_messages(backend: &Backend) {
    let mail = Mail::new(backend);
    mail.send_delayed(0..2, TIMEOUT).await;
    mail.send(0..4).await;
    let leased = mail.receive(1, TIMEOUT).await;
    let expected = QueueDepth { ready: 3, in_flight: 1, delayed: 2 };
    let deadline = Instant::now() + LEASE / 2;
    while Instant::now() < deadline && mail.queue.depth().await.expect("depth") != expected {
        tokio::time::sleep(SETTLE_TIME / 20).await;
    }
    assert_eq!(mail.queue.depth().await.expect("depth"), expected);
    mail.acknowledge(&leased).await;
}
