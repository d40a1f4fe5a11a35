//! Limits of SQS.

use std::time::Duration;

use quire_platform::{OutgoingMessage, QueueName};

use crate::open;

fn message(group: &str) -> OutgoingMessage {
    OutgoingMessage { body: "a message".to_owned(), group: group.to_owned(), delay: Duration::ZERO, trace: None }
}

#[tokio::test]
async fn a_message_keeps_its_group_for_fair_queues() {
    let (backend, ()) = open().await;
    let queue = backend.queue(QueueName::Pages);
    queue.send(vec![message("one"), message("two")]).await.expect("send");
    let mut groups: Vec<String> = Vec::new();
    while groups.len() < 2 {
        let received = queue.receive(10, Duration::from_secs(5)).await.expect("receive");
        assert!(!received.is_empty());
        groups.extend(received.into_iter().map(|message| message.group));
    }
    groups.sort_unstable();
    assert_eq!(groups, ["one", "two"]);
}

#[tokio::test]
async fn one_receive_returns_more_than_ten_messages() {
    let (backend, ()) = open().await;
    let queue = backend.queue(QueueName::Pages);
    queue.send(vec![message("tenant"); 25]).await.expect("send");
    assert_eq!(queue.receive(25, Duration::from_secs(5)).await.expect("receive").len(), 25);
}
