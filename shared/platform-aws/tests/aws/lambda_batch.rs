//! Lambda invocations, and every way in which a message can end.

use std::time::{Duration, Instant};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use quire_platform::{Backend, Delivery, OutgoingMessage, QueueName, Receipt, ReceivedMessage, conformance};
use quire_platform_aws::Aws;
use quire_tasks::{PageMessage, PageRef, ReadAs, TaskId, Tenant};
use serde_json::json;
use uuid::Uuid;

use crate::{aws, connected, settings};

const TIMEOUT: Duration = Duration::from_secs(20);
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The SQS service as Lambda sees it, and the function: separate clients of one queue.
struct Stage {
    service: Backend,
    function: Aws,
}

async fn stage() -> Stage {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    Stage { service: connected(&settings).await, function: aws(&settings).await }
}

fn message(page: u32) -> PageMessage {
    PageMessage {
        page: PageRef { task_id: TaskId::new(Uuid::now_v7()), document: 1, page },
        round: 1,
        read_as: ReadAs::default(),
        redact: None,
    }
}

impl Stage {
    async fn send(&self, count: u32) {
        let outgoing = |page| OutgoingMessage {
            trace: Some(TRACE.to_owned()),
            ..OutgoingMessage::new(&message(page), &Tenant::default())
        };
        self.service.queue(QueueName::Pages).send((1..=count).map(outgoing).collect()).await.expect("sent");
    }

    async fn receive(&self, name: QueueName, count: usize) -> Vec<ReceivedMessage> {
        let mut all = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while all.len() < count && Instant::now() < deadline {
            let left = count - all.len();
            all.extend(self.service.queue(name).receive(left, Duration::from_secs(1)).await.expect("received"));
        }
        assert_eq!(all.len(), count);
        all
    }

    /// Deletes the messages that the response does not report as failed, as Lambda does.
    async fn conclude(&self, received: &[ReceivedMessage], response: &SqsBatchResponse) {
        let failed: Vec<&str> = response.batch_item_failures.iter().map(|one| one.item_identifier.as_str()).collect();
        let done = received.iter().filter(|message| !failed.contains(&name(message).as_str()));
        let done: Vec<Receipt> = done.map(|message| message.receipt.clone()).collect();
        self.service.queue(QueueName::Pages).acknowledge(done).await.expect("deleted");
    }

    async fn nothing_in(&self, name: QueueName) {
        assert_eq!(self.service.queue(name).receive(10, Duration::from_secs(1)).await.expect("received"), []);
    }
}

fn name(message: &ReceivedMessage) -> String {
    format!("message {}", message.receipt.0)
}

/// Returns the event that Lambda invokes a function with.
fn event(received: &[ReceivedMessage]) -> SqsEvent {
    let record = |message: &ReceivedMessage| {
        json!({
            "messageId": name(message),
            "receiptHandle": message.receipt.0,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.attempt.to_string(),
                "SentTimestamp": "1764000000000",
                "MessageGroupId": message.group,
            },
            "messageAttributes": {
                "traceparent": {
                    "stringValue": message.trace, "dataType": "String",
                    "binaryListValues": [], "stringListValues": [],
                },
            },
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:pages",
            "awsRegion": "us-east-1",
        })
    };
    serde_json::from_value(json!({ "Records": received.iter().map(record).collect::<Vec<_>>() })).expect("an event")
}

fn page(delivery: &Delivery<PageMessage>) -> u32 {
    delivery.message.page.page
}

#[tokio::test]
async fn every_end_of_a_lease_is_reported_to_lambda() {
    let stage = stage().await;
    stage.send(4).await;
    let received = stage.receive(QueueName::Pages, 4).await;
    let mut batch = stage.function.lambda_batch(QueueName::Pages, event(&received));
    for delivery in batch.deliveries::<PageMessage>() {
        let delivery = delivery.expect("a page message");
        assert_eq!((delivery.attempt, delivery.trace.as_deref()), (1, Some(TRACE)));
        match page(&delivery) {
            1 => delivery.lease.acknowledge().await.expect("acknowledged"),
            2 => delivery.lease.release(Duration::ZERO).await.expect("released"),
            3 => delivery.lease.dead_letter("the receiver said 410").await.expect("dead-lettered"),
            _ => drop(delivery.lease),
        }
    }
    assert!(batch.deliveries::<PageMessage>().is_empty(), "they are batch out once");
    let response = batch.response().await;
    assert_eq!(response.batch_item_failures.len(), 2, "{response:?}");
    stage.conclude(&received, &response).await;

    let letter = stage.receive(QueueName::DeadPages, 1).await.remove(0);
    assert_eq!((letter.reason.as_deref(), letter.trace.as_deref()), (Some("the receiver said 410"), Some(TRACE)));
    assert!(letter.body.contains(r#""page":3"#), "{}", letter.body);
    stage.service.queue(QueueName::DeadPages).acknowledge(vec![letter.receipt]).await.expect("deleted");
    // The released message at once, the dropped one after its visibility timeout.
    let mut bodies = String::new();
    for _ in 0..2 {
        let again = stage.receive(QueueName::Pages, 1).await.remove(0);
        assert_eq!(again.attempt, 2);
        bodies += &again.body;
        stage.service.queue(QueueName::Pages).acknowledge(vec![again.receipt]).await.expect("deleted");
    }
    assert!(bodies.contains(r#""page":2"#) && bodies.contains(r#""page":4"#), "{bodies}");
    stage.nothing_in(QueueName::DeadPages).await;
}

#[tokio::test]
async fn a_released_message_is_hidden_for_its_delay() {
    const DELAY: Duration = Duration::from_secs(5);
    let stage = stage().await;
    stage.send(1).await;
    let received = stage.receive(QueueName::Pages, 1).await;
    let mut batch = stage.function.lambda_batch(QueueName::Pages, event(&received));
    let delivery = batch.deliveries::<PageMessage>().remove(0).expect("a page message");
    let released = Instant::now();
    delivery.lease.release(DELAY).await.expect("released");
    stage.conclude(&received, &batch.response().await).await;
    stage.receive(QueueName::Pages, 1).await;
    let hidden = released.elapsed();
    assert!(hidden > conformance::LEASE && hidden < 2 * DELAY, "{hidden:?}");
}

#[tokio::test]
async fn a_malformed_message_does_not_affect_the_others() {
    let stage = stage().await;
    let junk = OutgoingMessage { body: "junk".to_owned(), ..OutgoingMessage::new(&message(1), &Tenant::default()) };
    stage.service.queue(QueueName::Pages).send(vec![junk]).await.expect("sent");
    stage.send(1).await;
    let received = stage.receive(QueueName::Pages, 2).await;
    let mut batch = stage.function.lambda_batch(QueueName::Pages, event(&received));
    for delivery in batch.deliveries::<PageMessage>() {
        match delivery {
            Ok(delivery) => delivery.lease.acknowledge().await.expect("acknowledged"),
            Err(unreadable) => unreadable.lease.dead_letter("unreadable").await.expect("dead-lettered"),
        }
    }
    let response = batch.response().await;
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    stage.conclude(&received, &response).await;
    assert_eq!(stage.receive(QueueName::DeadPages, 1).await[0].body, "junk");
    stage.nothing_in(QueueName::Pages).await;
}

#[tokio::test]
async fn a_requeued_message_is_deleted_and_received_as_a_new_one() {
    let stage = stage().await;
    stage.send(1).await;
    let received = stage.receive(QueueName::Pages, 1).await;
    let mut batch = stage.function.lambda_batch(QueueName::Pages, event(&received));
    let delivery = batch.deliveries::<PageMessage>().remove(0).expect("a page message");
    delivery.lease.requeue(Duration::ZERO).await.expect("sent again");
    let response = batch.response().await;
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    stage.conclude(&received, &response).await;
    let again = stage.receive(QueueName::Pages, 1).await.remove(0);
    assert_eq!((&again.body, &again.group, again.attempt), (&received[0].body, &received[0].group, 1));
    assert_eq!(again.trace.as_deref(), Some(TRACE));
    stage.service.queue(QueueName::Pages).acknowledge(vec![again.receipt]).await.expect("deleted");
    stage.nothing_in(QueueName::Pages).await;
}
