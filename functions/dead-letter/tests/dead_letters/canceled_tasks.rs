//! Dead letters of canceled, expired and deleted tasks, and corrections of redacted tasks.

use quire_dead_letter::{DeadLetterKind, RedriveOutcome, ReviewOutcome, correct_review, list_reviews};
use quire_platform::{Collection, QueueName, Reopen, file_for_review};
use quire_tasks::{
    CallbackMessage, CallbackState, DocumentFormat, DocumentState, Failure, FailureCode, Line, ObjectKey, Outcome,
    PageMessage, PageRef, PageStatus, PageText, ReadAs, RedactKind, RedactPolicy, ReviewClaim, ReviewEntry,
    ReviewReason, SplitDocument, Task, TaskStatus, UnixMillis,
};

use crate::harness::{DeadLetterHarness, now, page};

fn text(lines: &[&str]) -> PageText {
    let polygon = Some([[0.0, 0.0], [9.0, 0.0], [9.0, 1.0], [0.0, 1.0]]);
    let lines =
        lines.iter().map(|text| Line { text: (*text).to_owned(), confidence: Some(0.4), polygon, ..Line::default() });
    PageText::from_lines("a@1".parse().expect("an engine"), 30, 40, 0, lines.collect())
}

impl DeadLetterHarness {
    async fn store_text(&self, page: PageRef, text: &PageText) {
        let key = ObjectKey::PageText { page, round: 1 }.to_string();
        self.backend.objects.put(&key, serde_json::to_vec(text).expect("JSON").into()).await.expect("stored");
    }

    async fn texts(&self, task: &Task) -> Vec<String> {
        self.backend.objects.list(&format!("pages/{}/", task.id)).await.expect("a list")
    }

    /// Uses up the attempts of all pages and handles their dead letters.
    async fn handle_dead_pages(&self) {
        self.use_up_attempts(QueueName::Pages).await;
        let running = self.start();
        self.wait_until_empty(QueueName::DeadPages).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_page_of_a_canceled_task_only_deletes_its_text() {
    let test = DeadLetterHarness::open();
    let task = test.task(1).await;
    test.store_text(page(&task, 1), &text(&["text of a worker that crashed"])).await;
    test.backend.tasks.cancel(task.id).await.expect("canceled");
    test.handle_dead_pages().await;
    let after = test.current(&task).await;
    assert_eq!((after.status(), after.counts.failed), (TaskStatus::Canceled, 0));
    assert_eq!(
        (test.list(DeadLetterKind::Pages).await, list_reviews(&test.backend).await.expect("a list")),
        (vec![], vec![])
    );
    assert_eq!(test.texts(&task).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_page_of_an_expired_or_deleted_task_only_deletes_its_text() {
    let test = DeadLetterHarness::open();
    let (expired, deleted) = (test.task(1).await, test.task(1).await);
    test.backend.tasks.expire(expired.id, now()).await.expect("expired");
    test.backend.tasks.remove(deleted.id).await.expect("removed");
    for task in [&expired, &deleted] {
        test.store_text(page(task, 1), &text(&["text of a worker that crashed"])).await;
    }
    test.handle_dead_pages().await;
    assert_eq!(test.list(DeadLetterKind::Pages).await, vec![]);
    for task in [&expired, &deleted] {
        assert_eq!(test.texts(task).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_does_not_send_canceled_pages() {
    let test = DeadLetterHarness::open();
    let task = test.task(2).await;
    // The first page has failed; the second is queued and is canceled.
    let messages: Vec<PageMessage> = task.page_messages().collect();
    let outcome = Outcome::Failed(Failure::new(FailureCode::AttemptsExhausted, "dead"));
    test.backend.tasks.complete_page(messages[0].page, 1, outcome).await.expect("completed");
    test.backend.tasks.cancel(task.id).await.expect("canceled");
    test.handle_dead_pages().await;
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
    let depth = test.backend.queue(QueueName::Pages).depth().await.expect("a depth");
    assert_eq!(depth.ready, 1, "only the failed page");
    let again = test.backend.tasks.reopen(task.id, Reopen::Pages(vec![page(&task, 2)])).await.expect("asked");
    assert!(!again.changed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_progress_event_is_dropped() {
    let test = DeadLetterHarness::open();
    let task = test.task(1).await;
    test.send(
        QueueName::Callbacks,
        [CallbackMessage { progress: Some(1), ..CallbackMessage::for_round_end(task.id, 1) }],
    )
    .await;
    let received = test.receive(QueueName::Callbacks).await;
    test.backend.queue(QueueName::Callbacks).dead_letter(&received, "refused").await.expect("moved");
    let running = test.start();
    test.wait_until_empty(QueueName::DeadCallbacks).await;
    running.stop().await;
    assert_eq!(test.current(&task).await.callback_state(), CallbackState::Pending);
    assert_eq!(test.list(DeadLetterKind::Callbacks).await, vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_redacted_and_keeps_the_positions_of_earlier_redactions() {
    let test = DeadLetterHarness::open();
    let policy = RedactPolicy { kinds: vec![RedactKind::Email], ..RedactPolicy::default() };
    let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 1 });
    let task = test.create_with_redaction([split], ReadAs::default(), Some(policy.clone())).await;
    let page = page(&task, 1);
    let mut read = text(&["write to x@y.cn"]);
    quire_redact::Redactor::new(&policy).expect("a policy").redact(&mut read).expect("redacted");
    test.store_text(page, &read).await;
    let entry = ReviewEntry {
        page,
        round: 1,
        reason: ReviewReason::LowConfidence,
        detail: "0.40 < 0.60".to_owned(),
        engine: None,
        confidence: Some(0.4),
        filed_at: now(),
        claim: None,
    };
    file_for_review(&test.backend, &entry).await.expect("filed");
    let outcome = Outcome::Succeeded { confidence: Some(0.4), needs_review: true };
    test.backend.tasks.complete_page(page, 1, outcome).await.expect("completed");

    let written = "write to [email]\nor to john@example.com\n";
    let done = correct_review(&test.backend, &entry.key(), written, "Ada").await.expect("an outcome");
    assert_eq!(done, ReviewOutcome::Done);
    let present = test.backend.tasks.page(page).await.expect("a page");
    assert_eq!((present.status, present.round), (PageStatus::Succeeded, 2));
    let stored = test.backend.objects.read(&ObjectKey::PageText { page, round: 2 }.to_string()).await.expect("stored");
    let kept: PageText = serde_json::from_slice(&stored).expect("a text");
    assert_eq!(kept.text(), "write to [email]\nor to [email]");
    let report = kept.redactions.expect("a report");
    let places: Vec<_> = report.iter().map(|it| (it.line, it.start, it.polygon.is_some())).collect();
    assert_eq!(places, [(Some(1), 6, false), (None, 0, true)]);

    // After a crash before the entry was deleted, the same call recognizes its own correction.
    let claim = Some(ReviewClaim { by: "Ada".to_owned(), at: UnixMillis(1) });
    let body = serde_json::to_string(&ReviewEntry { claim, ..entry.clone() }).expect("JSON");
    test.backend.records.set(Collection::Review, &entry.key(), body, None).await.expect("as before");
    let again = correct_review(&test.backend, &entry.key(), written, "Ada").await.expect("an outcome");
    assert_eq!(again, ReviewOutcome::Done);
}
