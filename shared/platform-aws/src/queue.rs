//! The queue on SQS.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
        MessageSystemAttributeName, QueueAttributeName,
    },
};
use futures_util::future::try_join_all;
use quire_platform::{
    Error, OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, Result,
};
use tokio::sync::OnceCell;

use crate::{
    batcher::Batcher,
    batches::{self, EntryFailure, MAX_BATCH_ENTRIES, retry_failed_entries, split_into_batches},
    fault::{error_chain, to_error},
    leases::Leases,
    message::{
        REASON, TRACE, WHAT, collect_parts, string_attribute, to_batch_entry, to_received_message, whole_seconds,
    },
};

/// The number of concurrent batch calls: the messages of 3,000 pages are sent within a second.
const CONCURRENT_BATCHES: usize = 8;
/// The maximum length of a dead letter's reason; longer ones are truncated.
const MAX_REASON_CHARS: usize = 1000;
/// The maximum wait of one receive (long polling), an SQS limit.
const MAX_LONG_POLL: Duration = Duration::from_secs(20);
/// SQS waits whole seconds; the rest of a wait is polled at this interval.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The maximum total visibility timeout from the receive: 12 hours, an SQS limit, minus a minute for clock differences.
const MAX_TOTAL_LEASE: Duration = Duration::from_mins(12 * 60 - 1);

/// A queue. Its URL is looked up on first use: a function's role may allow only the queues that it uses.
#[derive(Debug)]
pub(crate) struct SqsQueue {
    client: Client,
    name: QueueName,
    settings: QueueSettings,
    prefix: String,
    url: OnceCell<String>,
    dead_letter_url: OnceCell<String>,
    leases: Arc<Leases>,
    deletions: Batcher<Receipt>,
}

/// Returns a queue's name on SQS.
pub(crate) fn full_name(prefix: &str, name: QueueName) -> String {
    format!("{prefix}-{}", name.as_str())
}

impl SqsQueue {
    pub(crate) fn new(
        client: Client,
        prefix: &str,
        (name, settings): (QueueName, QueueSettings),
        leases: Arc<Leases>,
    ) -> Self {
        let prefix = prefix.to_owned();
        let url = OnceCell::new();
        let dead_letter_url = OnceCell::new();
        Self { client, name, settings, prefix, url, dead_letter_url, leases, deletions: Batcher::default() }
    }

    async fn url(&self) -> Result<&str> {
        self.url.get_or_try_init(|| self.look_up_url(self.name)).await.map(String::as_str)
    }

    async fn look_up_url(&self, name: QueueName) -> Result<String> {
        let name = full_name(&self.prefix, name);
        let found =
            self.client.get_queue_url().queue_name(&name).send().await.map_err(|error| to_error(WHAT, &error))?;
        found.queue_url.ok_or_else(|| Error::Failed { what: WHAT, why: format!("{name} has no URL") })
    }

    /// Receives up to ten messages with one call.
    async fn poll(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        let receive = self
            .client
            .receive_message()
            .queue_url(self.url().await?)
            .max_number_of_messages(max.min(MAX_BATCH_ENTRIES) as i32)
            .wait_time_seconds(wait.min(MAX_LONG_POLL).as_secs() as i32)
            .visibility_timeout(whole_seconds(self.settings.lease))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names(REASON)
            .message_attribute_names(TRACE);
        let messages = receive.send().await.map_err(|error| to_error(WHAT, &error))?.messages.unwrap_or_default();
        let received: Vec<ReceivedMessage> = messages.into_iter().map(to_received_message).collect();
        let receipts = received.iter().map(|message| message.receipt.clone());
        self.leases.add(receipts, self.settings.lease);
        Ok(received)
    }

    /// Sends up to ten messages.
    async fn send_batch(&self, url: &str, batch: &[OutgoingMessage]) -> Result<()> {
        let call = |numbers: Vec<usize>| async move {
            let entries = collect_parts(numbers.into_iter().map(|number| to_batch_entry(number, &batch[number])))?;
            let send = self.client.send_message_batch().queue_url(url).set_entries(Some(entries));
            send.send().await.map(|done| done.failed).map_err(|error| to_error(WHAT, &error))
        };
        retry_failed_entries(WHAT, batch.len(), batches::classify, call).await
    }

    /// Changes the visibility timeout of up to ten messages. Returns the receipts whose lease has ended.
    async fn change_visibility(&self, receipts: &[Receipt], time: Duration) -> Result<Vec<Receipt>> {
        let url = self.url().await?;
        let lost = Mutex::new(Vec::new());
        let classify = |entry: &_| {
            if !batches::is_lease_lost(entry) {
                return batches::classify(entry);
            }
            let receipt = entry.id().parse().ok().and_then(|number: usize| receipts.get(number));
            lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(receipt.cloned());
            EntryFailure::Ignore
        };
        let call = |numbers: Vec<usize>| async move {
            let entry = |number: usize| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(number.to_string())
                    .receipt_handle(&receipts[number].0)
                    .visibility_timeout(whole_seconds(time))
                    .build()
            };
            let entries = collect_parts(numbers.into_iter().map(entry))?;
            let change = self.client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries));
            change.send().await.map(|done| done.failed).map_err(|error| to_error(WHAT, &error))
        };
        retry_failed_entries(WHAT, receipts.len(), classify, call).await?;
        Ok(lost.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Deletes up to ten messages.
    async fn delete(&self, receipts: &[Receipt]) -> Result<()> {
        let url = self.url().await?;
        let call = |numbers: Vec<usize>| async move {
            let entry = |number: usize| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
                entry.receipt_handle(&receipts[number].0).build()
            };
            let entries = collect_parts(numbers.into_iter().map(entry))?;
            let delete = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
            delete.send().await.map(|done| done.failed).map_err(|error| to_error(WHAT, &error))
        };
        let classify =
            |entry: &_| if batches::is_lease_lost(entry) { EntryFailure::Ignore } else { batches::classify(entry) };
        retry_failed_entries(WHAT, receipts.len(), classify, call).await
    }

    /// Drops the receipts that are known to be lost.
    fn drop_lost(&self, mut receipts: Vec<Receipt>) -> Vec<Receipt> {
        receipts.retain(|receipt| !self.leases.is_lost(receipt));
        receipts
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn name(&self) -> QueueName {
        self.name
    }

    fn settings(&self) -> QueueSettings {
        self.settings
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Result<()> {
        let url = self.url().await?;
        for together in split_into_batches(&messages).chunks(CONCURRENT_BATCHES) {
            try_join_all(together.iter().map(|batch| self.send_batch(url, batch))).await?;
        }
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        let deadline = Instant::now() + wait;
        let mut all = Vec::new();
        while all.len() < max {
            let left = deadline.saturating_duration_since(Instant::now());
            // Messages that are already received must neither wait for more nor be lost with an error.
            let wait = if all.is_empty() { left } else { Duration::ZERO };
            let received = match self.poll(max - all.len(), wait).await {
                Err(_) if !all.is_empty() => break,
                received => received?,
            };
            let full = received.len() == MAX_BATCH_ENTRIES;
            all.extend(received);
            let left = deadline.saturating_duration_since(Instant::now());
            if !full && (!all.is_empty() || left.is_zero()) {
                break;
            }
            if !full && left < Duration::from_secs(1) {
                tokio::time::sleep(left.min(POLL_INTERVAL)).await;
            }
        }
        Ok(all)
    }

    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()> {
        let delete = |batch: Vec<Receipt>| async move {
            self.delete(&batch).await?;
            self.leases.remove(&batch);
            Ok(())
        };
        self.deletions.run(self.drop_lost(receipts), delete).await
    }

    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>> {
        let (mut lost, held): (Vec<Receipt>, Vec<Receipt>) =
            receipts.into_iter().partition(|receipt| self.leases.is_lost(receipt));
        for batch in held.chunks(MAX_BATCH_ENTRIES) {
            let gone = self.change_visibility(batch, self.settings.lease).await?;
            self.leases.extend(batch.iter().filter(|receipt| !gone.contains(receipt)), self.settings.lease);
            lost.extend(gone);
        }
        self.leases.remove(&lost);
        Ok(lost)
    }

    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()> {
        for batch in self.drop_lost(receipts).chunks(MAX_BATCH_ENTRIES) {
            let held = batch.iter().map(|receipt| self.leases.age(receipt)).max().unwrap_or_default();
            self.change_visibility(batch, delay.min(MAX_TOTAL_LEASE.saturating_sub(held))).await?;
            self.leases.remove(batch);
        }
        Ok(())
    }

    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()> {
        let Some(dead) = self.name.dead_letter_queue() else {
            return Err(Error::Failed { what: WHAT, why: format!("{} has no dead-letter queue", self.name.as_str()) });
        };
        // If the lease is lost, another consumer may be working on the message.
        if !self.extend(vec![received.receipt.clone()]).await?.is_empty() {
            return Ok(());
        }
        let url = self.dead_letter_url.get_or_try_init(|| self.look_up_url(dead)).await?;
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        // SQS does not accept empty attribute values.
        let reason = if reason.is_empty() { "none given".to_owned() } else { reason };
        let attributes = dead_letter_attributes(reason, received.trace.clone())?;
        let send = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(&received.body)
            .set_message_group_id(Some(received.group.clone()).filter(|group| !group.is_empty()))
            .set_message_attributes(Some(attributes));
        send.send().await.map_err(|error| to_error(WHAT, &error))?;
        self.acknowledge(vec![received.receipt.clone()]).await
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        // As for a dead letter, another consumer may be working on the message.
        if !self.extend(vec![received.receipt.clone()]).await?.is_empty() {
            return Ok(());
        }
        let ReceivedMessage { body, group, trace, .. } = received.clone();
        self.send(vec![OutgoingMessage { body, group, delay, trace }]).await?;
        self.acknowledge(vec![received.receipt.clone()]).await
    }

    async fn depth(&self) -> Result<QueueDepth> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Ready, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        let request = self.client.get_queue_attributes().queue_url(self.url().await?);
        let request = request.set_attribute_names(Some(vec![Ready, Delayed, InFlight]));
        let response = request.send().await.map_err(|error| to_error(WHAT, &error))?;
        let attributes = response.attributes.unwrap_or_default();
        let count = |name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default();
        Ok(QueueDepth { ready: count(Ready), in_flight: count(InFlight), delayed: count(Delayed) })
    }
}

/// Returns the message attributes of a dead letter.
fn dead_letter_attributes(reason: String, trace: Option<String>) -> Result<HashMap<String, MessageAttributeValue>> {
    let mut attributes = HashMap::new();
    for (name, value) in [(REASON, Some(reason)), (TRACE, trace)] {
        let Some(value) = value else { continue };
        let value = string_attribute(value).map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
        attributes.insert(name.to_owned(), value);
    }
    Ok(attributes)
}
