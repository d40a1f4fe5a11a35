//! Review and correction of pages.

use quire_dead_letter::{
    DeadLetterKind, RedriveOutcome, ReviewCase, ReviewOutcome, ReviewStatus, accept_review, correct_review,
    list_reviews, show_review,
};
use quire_platform::{Collection, Error, QueueName, file_for_review};
use quire_tasks::{
    CallbackMessage, Correction, DocumentFormat, DocumentState, FailureCode, FallbackReason, Line, Message, Mode,
    ModeName, ObjectKey, Outcome, PageRef, PageStatus, PageText, ReadAs, ReviewClaim, ReviewEntry, ReviewReason,
    SplitDocument, Task, TaskStatus, UnixMillis, WarningKind,
};
use serde_json::json;

use crate::harness::{DeadLetterHarness, now, page};

const LONG_AGO: UnixMillis = UnixMillis(1);

impl DeadLetterHarness {
    /// Creates an ended task with a number of pages that were read with low confidence.
    async fn low_confidence(&self, pages: u32, mode: Mode) -> Task {
        let split = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
        let task = self.create_with_read_as([split], ReadAs { mode, ..ReadAs::default() }).await;
        for page in task.pages() {
            self.store(page, 1, &low_confidence_text(task.read_as.mode.name())).await;
            file_for_review(&self.backend, &entry(page, 1)).await.expect("filed");
            let outcome = Outcome::Succeeded { confidence: Some(0.4), needs_review: true };
            self.backend.tasks.complete_page(page, 1, outcome).await.expect("completed");
        }
        self.current(&task).await
    }

    async fn store(&self, page: PageRef, round: u32, text: &PageText) {
        let key = ObjectKey::PageText { page, round }.to_string();
        self.backend.objects.put(&key, serde_json::to_vec(text).expect("JSON").into()).await.expect("stored");
    }

    async fn reviews(&self) -> Vec<ReviewCase> {
        list_reviews(&self.backend).await.expect("a list")
    }

    async fn correct(&self, page: PageRef, text: &str) -> ReviewOutcome {
        correct_review(&self.backend, &ReviewEntry::key_for(page), text, "Ada").await.expect("an outcome")
    }

    async fn text(&self, page: PageRef) -> PageText {
        let round = self.backend.tasks.page(page).await.expect("a page").round;
        let key = ObjectKey::PageText { page, round }.to_string();
        serde_json::from_slice(&self.backend.objects.read(&key).await.expect("a text")).expect("JSON")
    }

    /// Claims an entry for another operator.
    async fn claim(&self, page: PageRef, at: UnixMillis) {
        let claim = Some(ReviewClaim { by: "Bob".to_owned(), at });
        let body = serde_json::to_string(&ReviewEntry { claim, ..entry(page, 1) }).expect("JSON");
        self.backend.records.set(Collection::Review, &ReviewEntry::key_for(page), body, None).await.expect("claimed");
    }

    /// Receives all enqueued callbacks and returns their rounds.
    async fn enqueued_callback_rounds(&self) -> Vec<u32> {
        let mut rounds = Vec::new();
        while !self.is_empty(QueueName::Callbacks).await {
            let received = self.receive(QueueName::Callbacks).await;
            rounds.push(CallbackMessage::decode(&received.body).expect("a message").round);
            self.backend.queue(QueueName::Callbacks).acknowledge(vec![received.receipt]).await.expect("acknowledged");
        }
        rounds
    }
}

fn entry(page: PageRef, round: u32) -> ReviewEntry {
    ReviewEntry {
        page,
        round,
        reason: ReviewReason::LowConfidence,
        detail: "0.40 < 0.60".to_owned(),
        engine: "a@1".parse().ok(),
        confidence: Some(0.4),
        filed_at: UnixMillis(7),
        claim: None,
    }
}

fn low_confidence_text(mode: ModeName) -> PageText {
    let corner = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    let line = Line { text: "lnvoice".to_owned(), confidence: Some(0.4), polygon: Some(corner), ..Line::default() };
    let text = PageText::from_lines("a@1".parse().expect("an engine"), 30, 40, 90, vec![line]);
    PageText { mode, warnings: vec![WarningKind::CutOff.into()], ..text }
}

fn plain(text: &str) -> Line {
    Line { text: text.to_owned(), confidence: None, polygon: None, ..Line::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_of_an_unreadable_page_enqueues_a_callback() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    assert_eq!(test.enqueued_callback_rounds().await, [1]);
    let cases = test.reviews().await;
    assert_eq!(cases.len(), 1);
    let ReviewCase { name, review_status, entry } = &cases[0];
    assert_eq!((name, *review_status, entry.reason), (&entry.key(), ReviewStatus::Waiting, ReviewReason::Unreadable));
    assert!(entry.detail.contains("2 times"), "{}", entry.detail);
    let sheet = show_review(&test.backend, name).await.expect("a sheet");
    assert_eq!((sheet.status, sheet.text), (Some(PageStatus::Failed), None));
    assert_eq!(sheet.failure.map(|failure| failure.code), Some(FailureCode::AttemptsExhausted));

    assert_eq!(test.correct(page(&task, 1), "Invoice\nTotal 7\n").await, ReviewOutcome::Done);
    let ended = test.current(&task).await;
    assert_eq!((ended.status(), ended.round, ended.updated), (TaskStatus::Succeeded, 2, true));
    assert_eq!(test.enqueued_callback_rounds().await, [2]);
    let text = test.text(page(&task, 1)).await;
    assert_eq!(text.lines, [plain("Invoice"), plain("Total 7")]);
    assert_eq!((text.engine.to_string().as_str(), text.width), ("reviewer@1", 0), "no engine read it");
    assert_eq!(text.corrected.map(|Correction { by, .. }| by).as_deref(), Some("Ada"));
    assert_eq!(test.reviews().await, []);
    let again = correct_review(&test.backend, name, "x", "Ada").await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
    // A redrive is not needed either.
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::NotNeeded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_keeps_the_page_s_size_and_drops_its_warnings() {
    let test = DeadLetterHarness::open();
    let task = test.low_confidence(1, Mode::Text).await;
    assert_eq!(test.correct(page(&task, 1), "Invoice").await, ReviewOutcome::Done);
    let PageText { corrected, lines, .. } = test.text(page(&task, 1)).await;
    let before = low_confidence_text(ModeName::Text);
    let expected = PageText { lines: vec![plain("Invoice")], warnings: vec![], corrected, ..before };
    assert_eq!(test.text(page(&task, 1)).await, PageText { lines, ..expected });
    let corrected = test.backend.tasks.page(page(&task, 1)).await.expect("a page");
    assert_eq!((corrected.needs_review, corrected.confidence, corrected.round), (false, None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_page_is_unchanged_and_sends_no_callback() {
    let test = DeadLetterHarness::open();
    let task = test.low_confidence(2, Mode::Text).await;
    let name = ReviewEntry::key_for(page(&task, 1));
    let sheet = show_review(&test.backend, &name).await.expect("a sheet");
    assert_eq!(sheet.text, Some(low_confidence_text(ModeName::Text)));
    assert_eq!(accept_review(&test.backend, &name, "Ada").await.expect("an outcome"), ReviewOutcome::Done);
    assert_eq!(test.current(&task).await, task);
    assert_eq!(test.enqueued_callback_rounds().await, [0_u32; 0]);
    let left: Vec<String> = test.reviews().await.into_iter().map(|case| case.name).collect();
    assert_eq!(left, [ReviewEntry::key_for(page(&task, 2))]);
    for wrong in [name.as_str(), "no-such-entry", "../../quire", "a b", ""] {
        let ended = accept_review(&test.backend, wrong, "Ada").await;
        assert!(matches!(ended, Err(Error::NotFound { .. })), "{wrong}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_page_is_refused_until_the_claim_times_out() {
    let test = DeadLetterHarness::open();
    let task = test.low_confidence(1, Mode::Text).await;
    let low_confidence = page(&task, 1);
    test.claim(low_confidence, now()).await;
    let refused = ReviewOutcome::Kept { why: "it is claimed by Bob: retry in a minute".to_owned() };
    assert_eq!(test.correct(low_confidence, "Invoice").await, refused);
    let accepted = accept_review(&test.backend, &ReviewEntry::key_for(low_confidence), "Ada").await;
    assert_eq!(accepted.expect("an outcome"), refused);
    assert_eq!(test.current(&task).await, task);

    test.claim(low_confidence, LONG_AGO).await;
    // The crashed correction had stored its text.
    test.store(low_confidence, 2, &PageText { lines: vec![plain("half")], ..low_confidence_text(ModeName::Text) })
        .await;
    assert_eq!(test.correct(low_confidence, "Invoice").await, ReviewOutcome::Done);
    assert_eq!(test.text(low_confidence).await.lines, [plain("Invoice")]);
    assert_eq!(test.enqueued_callback_rounds().await, [2]);
}

/// Creates a correction that crashed after its round started and before its callback was enqueued.
async fn interrupted_correction(test: &DeadLetterHarness) -> PageRef {
    let task = test.low_confidence(1, Mode::Text).await;
    let written = page(&task, 1);
    test.claim(written, now()).await;
    let corrected = Some(Correction { by: "Bob".to_owned(), at: "2026-01-01T00:00:00Z".to_owned() });
    test.store(
        written,
        2,
        &PageText { lines: vec![plain("Invoice")], corrected, ..low_confidence_text(ModeName::Text) },
    )
    .await;
    assert!(test.backend.tasks.correct_page(written, 2, None).await.expect("corrected").changed());
    assert!(test.is_empty(QueueName::Callbacks).await);
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_correction_completes_an_interrupted_one() {
    for (text, expected) in [("Invoice", ReviewOutcome::Done), ("Receipt", ReviewOutcome::NotNeeded)] {
        let test = DeadLetterHarness::open();
        let written = interrupted_correction(&test).await;
        assert_eq!(test.correct(written, text).await, expected);
        assert_eq!(test.text(written).await.lines, [plain("Invoice")]);
        assert_eq!(test.enqueued_callback_rounds().await, [2]);
        assert_eq!(test.reviews().await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_closes_settled_entries_and_enqueues_their_callbacks() {
    let test = DeadLetterHarness::open();
    interrupted_correction(&test).await;
    assert_eq!(test.reviews().await, []);
    assert_eq!(test.enqueued_callback_rounds().await, [2]);
    let entries = test.backend.records.list(Collection::Review, None, 9).await.expect("the collection can be listed");
    assert_eq!(entries, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_being_read_cannot_be_reviewed() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    let read = page(&task, 1);
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
    assert_eq!(test.reviews().await[0].review_status, ReviewStatus::BeingRead);
    let accepted = accept_review(&test.backend, &ReviewEntry::key_for(read), "Ada").await.expect("an outcome");
    for outcome in [accepted, test.correct(read, "Invoice").await] {
        assert!(matches!(outcome, ReviewOutcome::Kept { .. }), "{outcome:?}");
    }
    test.complete(read, 2).await;
    let sheet = show_review(&test.backend, &ReviewEntry::key_for(read)).await;
    assert!(matches!(sheet, Err(Error::NotFound { .. })), "its text was never stored: {sheet:?}");
    assert_eq!(test.reviews().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_open_task_cannot_be_corrected() {
    let test = DeadLetterHarness::open();
    let task = test.task(2).await;
    let low_confidence = page(&task, 1);
    file_for_review(&test.backend, &entry(low_confidence, 1)).await.expect("filed");
    let outcome = Outcome::Succeeded { confidence: Some(0.4), needs_review: true };
    test.backend.tasks.complete_page(low_confidence, 1, outcome).await.expect("completed");
    test.store(low_confidence, 1, &low_confidence_text(ModeName::Text)).await;
    let why = "its task is still open: retry when it has ended".to_owned();
    assert_eq!(test.correct(low_confidence, "Invoice").await, ReviewOutcome::Kept { why });
    test.complete(page(&task, 2), 1).await;
    assert_eq!(test.correct(low_confidence, "Invoice").await, ReviewOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_deletes_the_text_of_an_interrupted_correction() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    let corrected = Some(Correction { by: "Bob".to_owned(), at: "2026-01-01T00:00:00Z".to_owned() });
    test.store(page(&task, 1), 2, &PageText { corrected, ..low_confidence_text(ModeName::Text) }).await;
    assert_eq!(test.redrive(DeadLetterKind::Pages).await, [RedriveOutcome::Sent]);
    let key = ObjectKey::PageText { page: page(&task, 1), round: 2 }.to_string();
    assert!(matches!(test.backend.objects.read(&key).await, Err(Error::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_corrections_of_a_page_conflict_and_of_a_task_do_not() {
    let test = DeadLetterHarness::open();
    let task = test.low_confidence(3, Mode::Text).await;
    let (one, other) = tokio::join!(test.correct(page(&task, 1), "one"), test.correct(page(&task, 1), "other"));
    let (text, results) = (test.text(page(&task, 1)).await, [(&one, "one"), (&other, "other")]);
    let done: Vec<_> = results.into_iter().filter(|(outcome, _)| **outcome == ReviewOutcome::Done).collect();
    assert_eq!(done.len(), 1, "{one:?}, {other:?}");
    assert_eq!(text.lines, [plain(done[0].1)]);

    let (second, third) = tokio::join!(test.correct(page(&task, 2), "two"), test.correct(page(&task, 3), "three"));
    assert_eq!([second, third], [ReviewOutcome::Done, ReviewOutcome::Done]);
    assert_eq!(test.text(page(&task, 2)).await.lines, [plain("two")]);
    assert_eq!(test.text(page(&task, 3)).await.lines, [plain("three")]);
    assert_eq!(test.current(&task).await.round, 4);
    assert_eq!(test.reviews().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_corrected_as_json_with_the_requested_keys_only() {
    let test = DeadLetterHarness::open();
    let keys = vec!["total".to_owned(), "date".to_owned()];
    let task = test.low_confidence(1, Mode::Fields { keys }).await;
    let fields = page(&task, 1);
    for wrong in ["total: 7", "[7]", ""] {
        let outcome = test.correct(fields, wrong).await;
        assert!(matches!(outcome, ReviewOutcome::Kept { .. }), "{wrong}: {outcome:?}");
    }
    assert_eq!(test.correct(fields, r#"{"total": 7, "tax": 1}"#).await, ReviewOutcome::Done);
    let text = test.text(fields).await;
    assert_eq!(text.fields.map(serde_json::Value::Object), Some(json!({"total": 7, "date": null})));
    assert_eq!(text.mode, ModeName::Fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_unread_page_lists_the_failed_engine() {
    let test = DeadLetterHarness::open();
    let task = test.task_with_dead_page().await;
    let engine = "a@1".parse().ok();
    let unreadable = ReviewEntry { engine, ..entry(page(&task, 1), 2) };
    file_for_review(&test.backend, &unreadable).await.expect("filed in place of the first");
    assert_eq!(test.correct(page(&task, 1), "").await, ReviewOutcome::Done);
    let text = test.text(page(&task, 1)).await;
    assert_eq!(text.lines, [], "a page may be empty");
    let tried: Vec<_> = text.tried.iter().map(|tried| (tried.engine.to_string(), tried.why, tried.code)).collect();
    assert_eq!(tried, [("a@1".to_owned(), FallbackReason::Failed, Some(FailureCode::AttemptsExhausted))]);
}
