//! A queue on SQS.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
        QueueAttributeName,
    },
};
use futures_util::future::try_join_all;
use quire_platform::{
    Error, OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, Result,
};
use tokio::sync::OnceCell;

use crate::{
    batcher::Together,
    batches::{self, BATCH, Verdict, by_calls, until_done},
    fault::fault,
    leases::Leases,
    message::{REASON, TRACE, WHAT, outgoing, received, text, whole, whole_seconds},
};

/// So many batches are sent at the same time: the messages of 3,000 pages are then on their way within a second.
const BATCHES_TOGETHER: usize = 8;
/// A reason is for people: what is longer is cut.
const LONGEST_REASON: usize = 1000;
/// The longest that one receive may wait, by SQS.
const LONGEST_POLL: Duration = Duration::from_secs(20);
/// SQS waits whole seconds; the rest of a wait is spent in naps of this length.
const NAP: Duration = Duration::from_millis(200);
/// A message may stay invisible for 12 hours from its receive, by SQS; a minute less, for clocks differ.
const LONGEST_LEASE: Duration = Duration::from_mins(12 * 60 - 1);

/// One of the queues. Its address is asked for when it is first needed: a function may know only the queues that it uses.
#[derive(Debug)]
pub(crate) struct SqsQueue {
    client: Client,
    name: QueueName,
    settings: QueueSettings,
    prefix: String,
    url: OnceCell<String>,
    dead_url: OnceCell<String>,
    leases: Arc<Leases>,
    deletions: Together<Receipt>,
}

/// A queue's name at SQS.
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
        let (prefix, url, dead_url) = (prefix.to_owned(), OnceCell::new(), OnceCell::new());
        Self { client, name, settings, prefix, url, dead_url, leases, deletions: Together::default() }
    }

    async fn url(&self) -> Result<&str> {
        self.url.get_or_try_init(|| self.look_up(self.name)).await.map(String::as_str)
    }

    async fn look_up(&self, name: QueueName) -> Result<String> {
        let name = full_name(&self.prefix, name);
        let found = self.client.get_queue_url().queue_name(&name).send().await.map_err(|error| fault(WHAT, &error))?;
        found.queue_url.ok_or_else(|| Error::Failed { what: WHAT, why: format!("{name} has no address") })
    }

    /// One receive, of up to ten messages.
    async fn poll(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        let receive = self
            .client
            .receive_message()
            .queue_url(self.url().await?)
            .max_number_of_messages(max.min(BATCH) as i32)
            .wait_time_seconds(wait.min(LONGEST_POLL).as_secs() as i32)
            .visibility_timeout(whole_seconds(self.settings.lease))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names(REASON)
            .message_attribute_names(TRACE);
        let messages = receive.send().await.map_err(|error| fault(WHAT, &error))?.messages.unwrap_or_default();
        let received: Vec<ReceivedMessage> = messages.into_iter().map(received).collect();
        let receipts = received.iter().map(|message| message.receipt.clone());
        self.leases.take(receipts, self.settings.lease);
        Ok(received)
    }

    /// Sends up to ten messages.
    async fn send_batch(&self, url: &str, batch: &[OutgoingMessage]) -> Result<()> {
        let call = |numbers: Vec<usize>| async move {
            let entries = whole(numbers.into_iter().map(|number| outgoing(number, &batch[number])))?;
            let send = self.client.send_message_batch().queue_url(url).set_entries(Some(entries));
            send.send().await.map(|done| done.failed).map_err(|error| fault(WHAT, &error))
        };
        until_done(WHAT, batch.len(), batches::plain, call).await
    }

    /// Changes when the messages of up to ten receipts are visible again; returns those that are lost.
    async fn hide(&self, receipts: &[Receipt], time: Duration) -> Result<Vec<Receipt>> {
        let url = self.url().await?;
        let lost = Mutex::new(Vec::new());
        let verdict = |entry: &_| {
            if !batches::lost(entry) {
                return batches::plain(entry);
            }
            let receipt = entry.id().parse().ok().and_then(|number: usize| receipts.get(number));
            lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(receipt.cloned());
            Verdict::Done
        };
        let call = |numbers: Vec<usize>| async move {
            let entry = |number: usize| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(number.to_string())
                    .receipt_handle(&receipts[number].0)
                    .visibility_timeout(whole_seconds(time))
                    .build()
            };
            let entries = whole(numbers.into_iter().map(entry))?;
            let change = self.client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries));
            change.send().await.map(|done| done.failed).map_err(|error| fault(WHAT, &error))
        };
        until_done(WHAT, receipts.len(), verdict, call).await?;
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
            let entries = whole(numbers.into_iter().map(entry))?;
            let delete = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
            delete.send().await.map(|done| done.failed).map_err(|error| fault(WHAT, &error))
        };
        let verdict = |entry: &_| if batches::lost(entry) { Verdict::Done } else { batches::plain(entry) };
        until_done(WHAT, receipts.len(), verdict, call).await
    }

    /// Those that are not known to be lost.
    fn held(&self, mut receipts: Vec<Receipt>) -> Vec<Receipt> {
        receipts.retain(|receipt| !self.leases.lost(receipt));
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
        for together in by_calls(&messages).chunks(BATCHES_TOGETHER) {
            try_join_all(together.iter().map(|batch| self.send_batch(url, batch))).await?;
        }
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>> {
        let deadline = Instant::now() + wait;
        let mut all = Vec::new();
        while all.len() < max {
            let left = deadline.saturating_duration_since(Instant::now());
            // What is in hand must not wait for more, nor be lost with an error.
            let wait = if all.is_empty() { left } else { Duration::ZERO };
            let received = match self.poll(max - all.len(), wait).await {
                Err(_) if !all.is_empty() => break,
                received => received?,
            };
            let full = received.len() == BATCH;
            all.extend(received);
            let left = deadline.saturating_duration_since(Instant::now());
            if !full && (!all.is_empty() || left.is_zero()) {
                break;
            }
            if !full && left < Duration::from_secs(1) {
                tokio::time::sleep(left.min(NAP)).await;
            }
        }
        Ok(all)
    }

    async fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<()> {
        let delete = |batch: Vec<Receipt>| async move {
            self.delete(&batch).await?;
            self.leases.forget(&batch);
            Ok(())
        };
        self.deletions.run(self.held(receipts), delete).await
    }

    async fn extend(&self, receipts: Vec<Receipt>) -> Result<Vec<Receipt>> {
        let (mut lost, held): (Vec<Receipt>, Vec<Receipt>) =
            receipts.into_iter().partition(|receipt| self.leases.lost(receipt));
        for batch in held.chunks(BATCH) {
            let gone = self.hide(batch, self.settings.lease).await?;
            self.leases.extend(batch.iter().filter(|receipt| !gone.contains(receipt)), self.settings.lease);
            lost.extend(gone);
        }
        self.leases.forget(&lost);
        Ok(lost)
    }

    async fn release(&self, receipts: Vec<Receipt>, delay: Duration) -> Result<()> {
        for batch in self.held(receipts).chunks(BATCH) {
            let held = batch.iter().map(|receipt| self.leases.held(receipt)).max().unwrap_or_default();
            self.hide(batch, delay.min(LONGEST_LEASE.saturating_sub(held))).await?;
            self.leases.forget(batch);
        }
        Ok(())
    }

    async fn dead_letter(&self, received: &ReceivedMessage, reason: &str) -> Result<()> {
        let Some(dead) = self.name.dead_letter_queue() else {
            return Err(Error::Failed { what: WHAT, why: format!("{} has no dead-letter queue", self.name.as_str()) });
        };
        // Whoever has lost the message must not send it on: somebody else may be reading it.
        if !self.extend(vec![received.receipt.clone()]).await?.is_empty() {
            return Ok(());
        }
        let url = self.dead_url.get_or_try_init(|| self.look_up(dead)).await?;
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        // SQS takes no empty value.
        let reason = if reason.is_empty() { "none given".to_owned() } else { reason };
        let attributes = [(REASON, Some(reason)), (TRACE, received.trace.clone())];
        let attributes = attributes.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
        let (names, values): (Vec<String>, Vec<String>) = attributes.unzip();
        let values = whole(values.into_iter().map(text))?;
        let send = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(&received.body)
            .set_message_group_id(Some(received.group.clone()).filter(|group| !group.is_empty()))
            .set_message_attributes(Some(names.into_iter().zip(values).collect()));
        send.send().await.map_err(|error| fault(WHAT, &error))?;
        self.acknowledge(vec![received.receipt.clone()]).await
    }

    async fn requeue(&self, received: &ReceivedMessage, delay: Duration) -> Result<()> {
        // As with a dead letter: somebody else may be reading it.
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
        let ask = self.client.get_queue_attributes().queue_url(self.url().await?);
        let ask = ask.set_attribute_names(Some(vec![Ready, Delayed, InFlight]));
        let told = ask.send().await.map_err(|error| fault(WHAT, &error))?.attributes.unwrap_or_default();
        let count = |name| told.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default();
        Ok(QueueDepth { ready: count(Ready), in_flight: count(InFlight), delayed: count(Delayed) })
    }
}
