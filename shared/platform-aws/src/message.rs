//! Conversion between our messages and those of SQS.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use quire_platform::{Error, OutgoingMessage, Receipt, ReceivedMessage, Result};

use crate::fault::error_chain;

pub(crate) const WHAT: &str = "queue";
/// The message attribute with the reason of a dead letter.
pub(crate) const REASON: &str = "reason";
/// The message attribute with the trace context.
pub(crate) const TRACE: &str = quire_tasks::TraceParent::NAME;
/// The data type of our message attributes.
pub(crate) const STRING: &str = "String";
/// The maximum delay of a message, an SQS limit.
const MAX_DELAY: Duration = Duration::from_mins(15);

pub(crate) type Built<T> = Result<T, aws_sdk_sqs::error::BuildError>;

/// Returns a batch entry, whose id is the number.
pub(crate) fn to_batch_entry(number: usize, message: &OutgoingMessage) -> Built<SendMessageBatchRequestEntry> {
    let trace = message.trace.clone().map(string_attribute).transpose()?;
    SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .set_message_attributes(trace.map(|trace| HashMap::from([(TRACE.to_owned(), trace)])))
        .message_body(&message.body)
        // On a standard queue, the group id enables fair queuing instead of strict order.
        .message_group_id(&message.group)
        .delay_seconds(whole_seconds(message.delay.min(MAX_DELAY)))
        .build()
}

pub(crate) fn string_attribute(value: String) -> Built<MessageAttributeValue> {
    MessageAttributeValue::builder().data_type(STRING).string_value(value).build()
}

/// Converts a received message.
pub(crate) fn to_received_message(message: Message) -> ReceivedMessage {
    let attempt = system_attribute(&message, &MessageSystemAttributeName::ApproximateReceiveCount);
    ReceivedMessage {
        group: system_attribute(&message, &MessageSystemAttributeName::MessageGroupId).cloned().unwrap_or_default(),
        attempt: attempt.and_then(|count| count.parse().ok()).unwrap_or(1),
        reason: string_value(&message, REASON),
        trace: string_value(&message, TRACE),
        body: message.body.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
    }
}

fn system_attribute<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> Option<&'a String> {
    message.attributes.as_ref()?.get(name)
}

fn string_value(message: &Message, name: &str) -> Option<String> {
    message.message_attributes.as_ref()?.get(name)?.string_value.clone()
}

/// Rounds up to whole seconds, the resolution of SQS.
pub(crate) fn whole_seconds(time: Duration) -> i32 {
    time.as_secs_f64().ceil() as i32
}

/// Collects the parts of a request.
pub(crate) fn collect_parts<T>(parts: impl IntoIterator<Item = Built<T>>) -> Result<Vec<T>> {
    let parts: Built<Vec<T>> = parts.into_iter().collect();
    parts.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })
}
