//! SQS batch calls with partial failures.

use std::time::Duration;

use aws_sdk_sqs::types::BatchResultErrorEntry;
use quire_platform::{Error, OutgoingMessage, Result};

use crate::message::{STRING, TRACE};

/// The maximum number of entries in an SQS batch.
pub(crate) const MAX_BATCH_ENTRIES: usize = 10;
/// The maximum size of an SQS batch. AWS raised this limit to 1 MiB in 2025, but compatible services may not have.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// The number of retries of failed entries, and the first wait, which doubles. They are retried here, since a retry of
/// the whole call would send the successful entries twice.
const RETRIES: u32 = 3;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(100);

/// What a failed entry means.
pub(crate) enum EntryFailure {
    /// The entry needs nothing more.
    Ignore,
    /// A transient error: retry.
    Retry,
    /// A permanent error: fail the call.
    Permanent,
}

/// Splits messages into batch calls, in order. A message that is too large on its own gets its own call, which SQS
/// refuses.
pub(crate) fn split_into_batches(messages: &[OutgoingMessage]) -> Vec<&[OutgoingMessage]> {
    let mut calls = Vec::new();
    let mut first = 0;
    let mut bytes = 0;
    for (number, message) in messages.iter().enumerate() {
        let size = size(message);
        if number > first && (number - first == MAX_BATCH_ENTRIES || bytes + size > MAX_BATCH_BYTES) {
            calls.push(&messages[first..number]);
            (first, bytes) = (number, 0);
        }
        bytes += size;
    }
    calls.extend(Some(&messages[first..]).filter(|rest| !rest.is_empty()));
    calls
}

/// Returns the size that SQS counts: the body, and the names, types and values of the attributes.
fn size(message: &OutgoingMessage) -> usize {
    message.body.len() + message.trace.as_ref().map_or(0, |trace| TRACE.len() + STRING.len() + trace.len())
}

/// Calls `call` with the numbers of the pending entries until all have succeeded. It must return the entries that
/// failed, whose ids are their numbers.
pub(crate) async fn retry_failed_entries<F>(
    what: &'static str,
    entries: usize,
    classify: impl Fn(&BatchResultErrorEntry) -> EntryFailure + Send,
    mut call: impl FnMut(Vec<usize>) -> F + Send,
) -> Result<()>
where
    F: Future<Output = Result<Vec<BatchResultErrorEntry>>> + Send,
{
    let mut open: Vec<usize> = (0..entries).collect();
    let mut why = String::new();
    for retry in 0..=RETRIES {
        let failed = call(std::mem::take(&mut open)).await?;
        for entry in &failed {
            why = format!("{}: {}", entry.code(), entry.message().unwrap_or("no reason given"));
            match classify(entry) {
                EntryFailure::Ignore => {}
                EntryFailure::Retry => open.extend(entry.id().parse::<usize>().ok()),
                EntryFailure::Permanent => return Err(Error::Failed { what, why }),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(FIRST_RETRY_WAIT * 2_u32.pow(retry)).await;
    }
    Err(Error::Busy { what, why })
}

/// Classifies an entry without special cases.
pub(crate) fn classify(entry: &BatchResultErrorEntry) -> EntryFailure {
    if entry.sender_fault() { EntryFailure::Permanent } else { EntryFailure::Retry }
}

/// Returns whether the entry failed because its lease has ended: the message is leased by another consumer, visible
/// again or deleted.
pub(crate) fn is_lease_lost(entry: &BatchResultErrorEntry) -> bool {
    let code = entry.code().rsplit('.').next().unwrap_or_default();
    matches!(code, "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use quire_tasks::{MAX_FIELD_KEYS, MAX_WORD_CHARS, Mode, PageMessage, PageRef, ReadAs, TaskId, Tenant};
    use uuid::Uuid;

    use super::*;

    fn of_size(bytes: usize) -> OutgoingMessage {
        OutgoingMessage { body: "x".repeat(bytes), group: "acme".to_owned(), delay: Duration::ZERO, trace: None }
    }

    #[test]
    fn a_batch_has_at_most_ten_messages_and_256_kib() {
        let counts = |sizes: &[usize]| {
            let messages: Vec<_> = sizes.iter().map(|&bytes| of_size(bytes)).collect();
            let calls = split_into_batches(&messages);
            assert_eq!(calls.concat(), messages, "all of them, in their order");
            calls.into_iter().map(<[OutgoingMessage]>::len).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[100; 25]), [10, 10, 5]);
        assert_eq!(counts(&[MAX_BATCH_BYTES / 4; 9]), [4, 4, 1]);
        assert_eq!(counts(&[MAX_BATCH_BYTES / 2, MAX_BATCH_BYTES / 2 + 1, 1]), [1, 2]);
        assert_eq!(counts(&[1, MAX_BATCH_BYTES + 1, 1]), [1, 1, 1], "one that is too large harms no other");
    }

    #[test]
    fn attributes_count_with_their_names_and_types() {
        let plain = of_size(MAX_BATCH_BYTES / 2);
        assert_eq!(split_into_batches(&[plain.clone(), plain.clone()]).len(), 1);
        let traced = OutgoingMessage { trace: Some("00-".to_owned()), ..plain.clone() };
        assert_eq!(split_into_batches(&[plain, traced]).len(), 2);
    }

    #[test]
    fn the_largest_page_message_is_far_below_the_limit() {
        let mode = Mode::Fields { keys: vec!["𠀋".repeat(MAX_WORD_CHARS); MAX_FIELD_KEYS] };
        let page = PageRef { task_id: TaskId::new(Uuid::nil()), document: u32::MAX, page: u32::MAX };
        let engine = format!("{0}@{0}", "e".repeat(64)).parse().expect("a name");
        let read_as = ReadAs { mode, engine: Some(engine), pinned: true, ..ReadAs::default() };
        let message =
            OutgoingMessage::new(&PageMessage { page, round: u32::MAX, read_as, redact: None }, &Tenant::default());
        assert!(size(&message) < MAX_BATCH_BYTES / 9, "{}", size(&message));
    }

    fn failed(id: usize, sender_fault: bool) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id.to_string()).code("Code").sender_fault(sender_fault);
        entry.build().expect("an entry")
    }

    #[tokio::test(start_paused = true)]
    async fn only_failed_entries_are_retried() {
        let calls = Mutex::new(Vec::new());
        let call = |numbers: Vec<usize>| {
            let mut calls = calls.lock().expect("one thread");
            let failing = numbers.iter().filter(|&&number| calls.is_empty() && number == 1);
            let failing = failing.map(|&number| failed(number, false)).collect();
            calls.push(numbers);
            async { Ok(failing) }
        };
        retry_failed_entries("a queue", 3, classify, call).await.expect("done");
        assert_eq!(*calls.lock().expect("one thread"), [vec![0, 1, 2], vec![1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_keeps_failing_is_an_error() {
        let again = retry_failed_entries("a queue", 1, classify, |_| async { Ok(vec![failed(0, false)]) }).await;
        assert!(matches!(again, Err(Error::Busy { .. })), "{again:?}");
        let hopeless = retry_failed_entries("a queue", 1, classify, |_| async { Ok(vec![failed(0, true)]) }).await;
        assert!(matches!(hopeless, Err(Error::Failed { .. })), "{hopeless:?}");
    }
}
