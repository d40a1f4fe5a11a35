//! Property test: random operations on a queue, checked against a model.

use std::{collections::BTreeMap, time::Duration};

use proptest::{prelude::*, sample::Index};
use quire_platform::{Backend, OutgoingMessage, QueueDepth, QueueName, QueueSettings, ReceivedMessage};
use quire_platform_embedded::Embedded;

const MAX_RECEIVES: u32 = 2;

#[derive(Debug, Clone)]
enum QueueStep {
    Send { group: u8, count: usize },
    Receive { max: usize },
    Acknowledge(Index),
    Release(Index),
    DeadLetter(Index),
    Extend(Index),
    ExpireLeases,
}

fn step() -> impl Strategy<Value = QueueStep> {
    prop_oneof![
        3 => (0..3_u8, 1..4_usize).prop_map(|(group, count)| QueueStep::Send { group, count }),
        4 => (1..5_usize).prop_map(|max| QueueStep::Receive { max }),
        3 => any::<Index>().prop_map(QueueStep::Acknowledge),
        2 => any::<Index>().prop_map(QueueStep::Release),
        1 => any::<Index>().prop_map(QueueStep::DeadLetter),
        1 => any::<Index>().prop_map(QueueStep::Extend),
        1 => Just(QueueStep::ExpireLeases),
    ]
}

/// Where a message is. At its maximum receive count, the next receive may move it to the dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MessagePlace {
    Ready,
    /// Leased by the receive with this number.
    Leased(usize),
    Dead,
    Gone,
}

#[derive(Debug)]
struct ModelMessage {
    place: MessagePlace,
    receives: u32,
}

/// The expected content of the queue, and every receive, valid or stale.
#[derive(Debug, Default)]
struct QueueModel {
    messages: BTreeMap<String, ModelMessage>,
    history: Vec<ReceivedMessage>,
}

impl QueueModel {
    fn send(&mut self, group: u8, count: usize) -> Vec<OutgoingMessage> {
        let mut sent = Vec::new();
        for _ in 0..count {
            let body = format!("{:04}", self.messages.len());
            self.messages.insert(body.clone(), ModelMessage { place: MessagePlace::Ready, receives: 0 });
            sent.push(OutgoingMessage { body, group: group.to_string(), delay: Duration::ZERO, trace: None });
        }
        sent
    }

    fn count(&self, of: impl Fn(&ModelMessage) -> bool) -> usize {
        self.messages.values().filter(|message| of(message)).count()
    }

    fn received(&mut self, received: Vec<ReceivedMessage>, max: usize) {
        let receivable = self.count(|message| message.place == MessagePlace::Ready && message.receives < MAX_RECEIVES);
        assert!(received.len() <= max.min(receivable));
        assert_eq!(received.is_empty(), receivable == 0);
        for one in received {
            let message = self.messages.get_mut(&one.body).expect("it was sent");
            assert_eq!(message.place, MessagePlace::Ready, "{one:?}");
            message.receives += 1;
            assert_eq!(one.attempt, message.receives);
            message.place = MessagePlace::Leased(self.history.len());
            self.history.push(one);
        }
    }

    /// Returns some receive, and its message if its lease is valid.
    fn pick(&mut self, index: Index) -> Option<(ReceivedMessage, Option<&mut ModelMessage>)> {
        if self.history.is_empty() {
            return None;
        }
        let number = index.index(self.history.len());
        let received = self.history[number].clone();
        let message = self.messages.get_mut(&received.body).filter(|m| m.place == MessagePlace::Leased(number));
        Some((received, message))
    }

    fn leases_expired(&mut self) {
        for message in self.messages.values_mut().filter(|message| matches!(message.place, MessagePlace::Leased(_))) {
            message.place = MessagePlace::Ready;
            message.receives -= 1;
        }
    }
}

async fn run_step(model: &mut QueueModel, embedded: &Embedded, backend: &Backend, step: QueueStep) {
    let queue = backend.queue(QueueName::Pages);
    let move_to = |message: Option<&mut ModelMessage>, place| message.into_iter().for_each(|m| m.place = place);
    match step {
        QueueStep::Send { group, count } => queue.send(model.send(group, count)).await.expect("send"),
        QueueStep::Receive { max } => {
            let received = queue.receive(max, Duration::ZERO).await.expect("receive");
            model.received(received, max);
        }
        QueueStep::Acknowledge(index) => {
            let Some((received, message)) = model.pick(index) else { return };
            queue.acknowledge(vec![received.receipt]).await.expect("acknowledge");
            move_to(message, MessagePlace::Gone);
        }
        QueueStep::Release(index) => {
            let Some((received, message)) = model.pick(index) else { return };
            queue.release(vec![received.receipt], Duration::ZERO).await.expect("release");
            move_to(message, MessagePlace::Ready);
        }
        QueueStep::DeadLetter(index) => {
            let Some((received, message)) = model.pick(index) else { return };
            queue.dead_letter(&received, "gave up").await.expect("dead-letter");
            move_to(message, MessagePlace::Dead);
        }
        QueueStep::Extend(index) => {
            let Some((received, message)) = model.pick(index) else { return };
            let lost = queue.extend(vec![received.receipt]).await.expect("extend");
            assert_eq!(lost.is_empty(), message.is_some());
        }
        QueueStep::ExpireLeases => {
            embedded.expire_leases().await.expect("expire leases");
            model.leases_expired();
        }
    }
}

/// Asserts that the queues' depths match the model.
async fn check(model: &QueueModel, backend: &Backend) {
    let pages = backend.queue(QueueName::Pages).depth().await.expect("depth");
    let dead = backend.queue(QueueName::DeadPages).depth().await.expect("depth");
    assert_eq!(pages.in_flight as usize, model.count(|message| matches!(message.place, MessagePlace::Leased(_))));
    assert_eq!(pages.delayed, 0);
    let resting = model.count(|message| matches!(message.place, MessagePlace::Ready | MessagePlace::Dead));
    assert_eq!((pages.ready + dead.ready) as usize, resting);
    assert!(dead.ready as usize >= model.count(|message| message.place == MessagePlace::Dead));
}

/// Receives until the queue is empty: then all messages at their maximum receive count are dead letters.
async fn drain(model: &mut QueueModel, backend: &Backend) {
    let queue = backend.queue(QueueName::Pages);
    loop {
        let received = queue.receive(3, Duration::ZERO).await.expect("receive");
        let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
        model.received(received, 3);
        if receipts.is_empty() {
            break;
        }
        queue.acknowledge(receipts).await.expect("acknowledge");
        let first = model.history.len().saturating_sub(3);
        for (number, received) in model.history.iter().enumerate().skip(first) {
            let message = model.messages.get_mut(&received.body).expect("it was sent");
            if message.place == MessagePlace::Leased(number) {
                message.place = MessagePlace::Gone;
            }
        }
    }
    let left = QueueDepth { ready: 0, ..queue.depth().await.expect("depth") };
    assert_eq!(queue.depth().await.expect("depth"), left, "nothing is ready");
    let mut dead = Vec::new();
    let letters = backend.queue(QueueName::DeadPages);
    loop {
        let received = letters.receive(10, Duration::ZERO).await.expect("receive");
        if received.is_empty() {
            break;
        }
        dead.extend(received.into_iter().map(|letter| letter.body));
    }
    dead.sort_unstable();
    let expected = model.messages.iter().filter(|(_, m)| matches!(m.place, MessagePlace::Dead | MessagePlace::Ready));
    assert_eq!(dead, expected.map(|(body, _)| body.clone()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_behaves_as_its_model(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let settings = |_| QueueSettings { lease: Duration::from_hours(1), max_receives: MAX_RECEIVES };
        let dead_or_not = |name: QueueName| match name.dead_letter_queue() {
            Some(_) => settings(name),
            None => QueueSettings { max_receives: u32::MAX, ..settings(name) },
        };
        runtime.block_on(async {
            let embedded = Embedded::open_with(dir.path(), "model", dead_or_not).expect("open the backend");
            let backend = embedded.backend();
            let mut model = QueueModel::default();
            for step in steps {
                run_step(&mut model, &embedded, &backend, step).await;
                check(&model, &backend).await;
            }
            drain(&mut model, &backend).await;
        });
    }
}
