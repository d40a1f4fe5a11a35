//! Batches of ten, or of as many as one call takes, some of whose entries may fail.

use std::time::Duration;

use aws_sdk_sqs::types::BatchResultErrorEntry;
use quire_platform::{Error, OutgoingMessage, Result};

use crate::message::{STRING, TRACE};

/// As many entries as SQS takes in one call.
pub(crate) const BATCH: usize = 10;
/// As many bytes of messages as SQS takes in one call, by its oldest limit: it has been raised in some places only.
const BATCH_BYTES: usize = 256 * 1024;
/// How often the entries of a batch that failed are tried again before the whole call has failed, and the first wait,
/// which doubles. Here, since whoever repeats the whole call would send the others twice.
const RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// What to do with one entry that failed.
pub(crate) enum Verdict {
    /// It counts as done.
    Done,
    /// It may succeed a little later.
    Again,
    /// It never will.
    Hopeless,
}

/// The messages in their order, by the call in which they are sent. One that is too large even by itself is SQS's to refuse.
pub(crate) fn by_calls(messages: &[OutgoingMessage]) -> Vec<&[OutgoingMessage]> {
    let mut calls = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (number, message) in messages.iter().enumerate() {
        let size = size(message);
        if number > first && (number - first == BATCH || bytes + size > BATCH_BYTES) {
            calls.push(&messages[first..number]);
            (first, bytes) = (number, 0);
        }
        bytes += size;
    }
    calls.extend(Some(&messages[first..]).filter(|rest| !rest.is_empty()));
    calls
}

/// What SQS counts of a message: its text, and its attributes with their names and types.
fn size(message: &OutgoingMessage) -> usize {
    message.body.len() + message.trace.as_ref().map_or(0, |trace| TRACE.len() + STRING.len() + trace.len())
}

/// Calls `call` with the numbers of the entries that are still to be done, until all are. It answers with the entries
/// that failed, each of which names its number.
pub(crate) async fn until_done<F>(
    what: &'static str,
    entries: usize,
    verdict: impl Fn(&BatchResultErrorEntry) -> Verdict + Send,
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
            match verdict(entry) {
                Verdict::Done => {}
                Verdict::Again => open.extend(entry.id().parse::<usize>().ok()),
                Verdict::Hopeless => return Err(Error::Failed { what, why }),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(retry)).await;
    }
    Err(Error::Busy { what, why })
}

/// The verdict on an entry with which there is nothing special.
pub(crate) fn plain(entry: &BatchResultErrorEntry) -> Verdict {
    if entry.sender_fault() { Verdict::Hopeless } else { Verdict::Again }
}

/// Whether the entry failed because its receipt's lease has ended: the codes for one whose message is in other hands,
/// waits again, or is gone.
pub(crate) fn lost(entry: &BatchResultErrorEntry) -> bool {
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
    fn a_call_takes_ten_messages_or_as_many_bytes_as_fit() {
        let counts = |sizes: &[usize]| {
            let messages: Vec<_> = sizes.iter().map(|&bytes| of_size(bytes)).collect();
            let calls = by_calls(&messages);
            assert_eq!(calls.concat(), messages, "all of them, in their order");
            calls.into_iter().map(<[OutgoingMessage]>::len).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[100; 25]), [10, 10, 5]);
        assert_eq!(counts(&[BATCH_BYTES / 4; 9]), [4, 4, 1]);
        assert_eq!(counts(&[BATCH_BYTES / 2, BATCH_BYTES / 2 + 1, 1]), [1, 2]);
        assert_eq!(counts(&[1, BATCH_BYTES + 1, 1]), [1, 1, 1], "one that is too large harms no other");
    }

    #[test]
    fn attributes_are_counted_with_their_names() {
        let plain = of_size(BATCH_BYTES / 2);
        assert_eq!(by_calls(&[plain.clone(), plain.clone()]).len(), 1);
        let traced = OutgoingMessage { trace: Some("00-".to_owned()), ..plain.clone() };
        assert_eq!(by_calls(&[plain, traced]).len(), 2);
    }

    #[test]
    fn the_largest_message_of_a_page_is_far_from_too_large() {
        let mode = Mode::Fields { keys: vec!["𠀋".repeat(MAX_WORD_CHARS); MAX_FIELD_KEYS] };
        let page = PageRef { task_id: TaskId::new(Uuid::nil()), document: u32::MAX, page: u32::MAX };
        let engine = format!("{0}@{0}", "e".repeat(64)).parse().expect("a name");
        let read_as = ReadAs { mode, engine: Some(engine), pinned: true };
        let message =
            OutgoingMessage::new(&PageMessage { page, round: u32::MAX, read_as, redact: None }, &Tenant::default());
        assert!(size(&message) < BATCH_BYTES / 9, "{}", size(&message));
    }

    fn failed(id: usize, sender_fault: bool) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id.to_string()).code("Code").sender_fault(sender_fault);
        entry.build().expect("an entry")
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_failed_is_tried_again() {
        let calls = Mutex::new(Vec::new());
        let call = |numbers: Vec<usize>| {
            let mut calls = calls.lock().expect("one thread");
            let failing = numbers.iter().filter(|&&number| calls.is_empty() && number == 1);
            let failing = failing.map(|&number| failed(number, false)).collect();
            calls.push(numbers);
            async { Ok(failing) }
        };
        until_done("a queue", 3, plain, call).await.expect("done");
        assert_eq!(*calls.lock().expect("one thread"), [vec![0, 1, 2], vec![1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_failing_is_reported() {
        let again = until_done("a queue", 1, plain, |_| async { Ok(vec![failed(0, false)]) }).await;
        assert!(matches!(again, Err(Error::Busy { .. })), "{again:?}");
        let hopeless = until_done("a queue", 1, plain, |_| async { Ok(vec![failed(0, true)]) }).await;
        assert!(matches!(hopeless, Err(Error::Failed { .. })), "{hopeless:?}");
    }
}
