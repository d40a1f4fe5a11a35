//! Batches of ten, some of whose entries may fail.

use std::time::Duration;

use aws_sdk_sqs::types::BatchResultErrorEntry;

use crate::{Error, Result};

/// As many entries as SQS takes in one call.
pub(super) const BATCH: usize = 10;
/// How often the entries of a batch that failed are tried again before the whole call has failed, and the first wait,
/// which doubles. Here, since whoever repeats the whole call would send the others twice.
const RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// What to do with one entry that failed.
pub(super) enum Verdict {
    /// It counts as done.
    Done,
    /// It may succeed a little later.
    Again,
    /// It never will.
    Hopeless,
}

/// Calls `call` with the numbers of the entries that are still to be done, until all are. It answers with the entries
/// that failed, each of which names its number.
pub(super) async fn until_done<F>(
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
pub(super) fn plain(entry: &BatchResultErrorEntry) -> Verdict {
    if entry.sender_fault() { Verdict::Hopeless } else { Verdict::Again }
}

/// Whether the entry failed because its receipt's lease has ended: the codes for one whose message is in other hands,
/// waits again, or is gone.
pub(super) fn lost(entry: &BatchResultErrorEntry) -> bool {
    let code = entry.code().rsplit('.').next().unwrap_or_default();
    matches!(code, "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

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
