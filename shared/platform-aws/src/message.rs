//! Our messages as SQS has them.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use quire_platform::{Error, OutgoingMessage, Receipt, ReceivedMessage, Result};

use crate::fault::chain;

pub(crate) const WHAT: &str = "queue";
/// The message attribute that tells why a message was dead-lettered.
pub(crate) const REASON: &str = "reason";
/// The message attribute that tells which trace a message belongs to.
pub(crate) const TRACE: &str = quire_tasks::TraceParent::NAME;
/// The type of our message attributes.
pub(crate) const STRING: &str = "String";
/// The longest delay of a message, by SQS.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

pub(crate) type Built<T> = Result<T, aws_sdk_sqs::error::BuildError>;

/// The number in a batch is the entry's id.
pub(crate) fn outgoing(number: usize, message: &OutgoingMessage) -> Built<SendMessageBatchRequestEntry> {
    let trace = message.trace.clone().map(text).transpose()?;
    SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .set_message_attributes(trace.map(|trace| HashMap::from([(TRACE.to_owned(), trace)])))
        .message_body(&message.body)
        // On a standard queue a group is no order, but a turn: fair queues.
        .message_group_id(&message.group)
        .delay_seconds(whole_seconds(message.delay.min(LONGEST_DELAY)))
        .build()
}

pub(crate) fn text(value: String) -> Built<MessageAttributeValue> {
    MessageAttributeValue::builder().data_type(STRING).string_value(value).build()
}

pub(crate) fn received(message: Message) -> ReceivedMessage {
    let told = |name| message.attributes.as_ref().and_then(|told| told.get(&name));
    let attempt = told(MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.parse().ok());
    let group = told(MessageSystemAttributeName::MessageGroupId).cloned().unwrap_or_default();
    let attribute = |name| message.message_attributes.as_ref().and_then(|told| told.get(name)?.string_value.clone());
    let (reason, trace) = (attribute(REASON), attribute(TRACE));
    ReceivedMessage {
        group,
        attempt: attempt.unwrap_or(1),
        reason,
        trace,
        body: message.body.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
    }
}

/// SQS counts whole seconds. Rather a little late than early.
pub(crate) fn whole_seconds(time: Duration) -> i32 {
    time.as_secs_f64().ceil() as i32
}

/// Parts of a request, none of which lacks anything.
pub(crate) fn whole<T>(parts: impl IntoIterator<Item = Built<T>>) -> Result<Vec<T>> {
    let parts: Built<Vec<T>> = parts.into_iter().collect();
    parts.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })
}
