use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    CallbackProgress, CallbackState, DocumentFormat, DocumentSource, Failure, FailureCode, SplitDocument, TaskId,
    TaskStatus, Tenant,
};

const START: UnixMillis = UnixMillis(1_000);
const NOW: UnixMillis = UnixMillis(2_000);

fn split(pages: u32) -> DocumentState {
    DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages })
}

fn pending() -> DocumentState {
    DocumentState::Pending { source: DocumentSource::Url { url: "https://example.com/a.pdf".to_owned() } }
}

fn failure() -> Failure {
    Failure::new(FailureCode::Internal, "it is unreadable")
}

fn task(states: impl IntoIterator<Item = DocumentState>) -> Task {
    let documents = (1..).zip(states).map(|(number, state)| Document::new(number, None, state)).collect();
    let callback_url = Some("https://example.com/hook".to_owned());
    Task::new(TaskId::new(Uuid::nil()), Tenant::default(), START, documents, callback_url)
}

fn page(task: &Task, number: u32) -> Page {
    queued_page(PageRef { task_id: task.id, document: 1, page: number }, task.round)
}

/// Completes a page of the current round and records the change, as a table does.
fn complete(task: &mut Task, page: &mut Page, outcome: Outcome) {
    let round = task.round;
    assert!(complete_page(task, page, round, outcome, NOW));
    record_change(task, NOW);
}

/// An ended task with one page that succeeded and one that failed.
fn ended_task() -> (Task, [Page; 2]) {
    let mut task = task([split(2)]);
    let mut pages = [page(&task, 1), page(&task, 2)];
    complete(&mut task, &mut pages[0], Outcome::succeeded(Some(0.9)));
    complete(&mut task, &mut pages[1], Outcome::Failed(failure()));
    assert_eq!(task.status(), TaskStatus::PartiallySucceeded);
    (task, pages)
}

#[test]
fn a_task_without_a_readable_document_has_ended_when_it_is_accepted() {
    let mut failed = task([DocumentState::Failed(failure())]);
    accept(&mut failed, NOW);
    assert_eq!((failed.status(), failed.ended_at), (TaskStatus::Failed, Some(NOW)));
    let mut open = task([split(1)]);
    accept(&mut open, NOW);
    assert_eq!((open.status(), open.ended_at), (TaskStatus::Queued, None));
}

#[test]
fn a_task_ends_with_its_last_page() {
    let mut task = task([split(2)]);
    let [mut first, mut second] = [page(&task, 1), page(&task, 2)];
    complete(&mut task, &mut first, Outcome::Succeeded { confidence: Some(0.5), needs_review: true });
    assert_eq!((task.status(), task.ended_at, task.version), (TaskStatus::Processing, None, 2));
    assert_eq!((first.status, first.confidence, first.needs_review), (PageStatus::Succeeded, Some(0.5), true));
    complete(&mut task, &mut second, Outcome::Failed(failure()));
    assert_eq!((task.status(), task.ended_at), (TaskStatus::PartiallySucceeded, Some(NOW)));
    assert_eq!((second.status, second.failure), (PageStatus::Failed, Some(failure())));
}

#[test]
fn a_page_ends_once_in_its_round() {
    let mut task = task([split(2)]);
    let mut ended = page(&task, 1);
    complete(&mut task, &mut ended, Outcome::succeeded(None));
    let before = task.clone();
    assert!(!complete_page(&mut task, &mut ended, 1, Outcome::Failed(failure()), NOW), "it has ended");
    let mut open = page(&task, 2);
    assert!(!complete_page(&mut task, &mut open, 2, Outcome::succeeded(None), NOW), "another round");
    let mut stale = Page { round: 0, ..page(&task, 2) };
    assert!(!complete_page(&mut task, &mut stale, 1, Outcome::succeeded(None), NOW), "a page of an earlier round");
    let expires_at = task.expires_at;
    assert!(!complete_page(&mut task, &mut open, 1, Outcome::succeeded(None), expires_at), "the task has expired");
    assert_eq!(task, before);
}

#[test]
fn a_pending_document_is_finished_once() {
    let mut task = task([pending(), pending()]);
    assert_eq!(finish_document(&mut task, 3, split(1)), DocumentFinish::NotFound);
    assert_eq!(finish_document(&mut task, 1, pending()), DocumentFinish::Unchanged);
    let DocumentFinish::Finished(pages) = finish_document(&mut task, 1, split(3)) else { panic!("it is pending") };
    assert_eq!(pages.iter().map(|page| (page.document, page.page)).collect::<Vec<_>>(), [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(task.counts, Counts { open: 4, ..Counts::default() });
    assert_eq!(finish_document(&mut task, 1, split(3)), DocumentFinish::Unchanged);
    assert_eq!(finish_document(&mut task, 2, DocumentState::Failed(failure())), DocumentFinish::Finished(vec![]));
    assert_eq!(task.counts, Counts { open: 3, failed: 1, ..Counts::default() });
}

#[test]
fn a_canceled_task_accepts_no_more_outcomes() {
    let mut task = task([split(2), pending()]);
    let [mut first, mut second] = [page(&task, 1), page(&task, 2)];
    complete(&mut task, &mut first, Outcome::succeeded(None));
    assert!(cancel(&mut task));
    record_change(&mut task, NOW);
    assert_eq!((task.status(), task.ended_at, task.dispatched), (TaskStatus::Canceled, Some(NOW), true));
    assert_eq!(task.counts, Counts { succeeded: 1, canceled: 2, ..Counts::default() });
    assert_eq!(task.status_of(&second), PageStatus::Canceled);
    assert!(!cancel(&mut task), "nothing is open");
    assert!(!complete_page(&mut task, &mut second, 1, Outcome::succeeded(None), NOW));
    assert_eq!(finish_document(&mut task, 2, split(1)), DocumentFinish::Unchanged);
}

#[test]
fn an_expired_task_is_canceled_and_sends_no_webhook() {
    let mut task = task([split(1)]);
    assert!(expire(&mut task, NOW));
    assert_eq!((task.status(), task.expires_at), (TaskStatus::Canceled, NOW));
    assert_eq!((task.callback_state(), task.dispatched), (CallbackState::None, true));
    let before = task.clone();
    assert!(!expire(&mut task, UnixMillis(NOW.0 + 1)), "it expires earlier already");
    assert_eq!(task, before);
    assert!(!reopen_failed(&mut task, 1, NOW));
    assert_eq!(reopen_all(&mut task, true, NOW), None);
}

#[test]
fn a_callback_is_updated_in_its_round_only() {
    let (mut task, _) = ended_task();
    assert!(!update_callback(&mut task, 2, &CallbackUpdate::Delivered));
    assert!(update_callback(&mut task, 1, &CallbackUpdate::Delivered));
    assert_eq!(task.callback_state(), CallbackState::Delivered);
    assert!(!update_callback(&mut task, 1, &CallbackUpdate::Retrying { error: "late".to_owned() }));
    task.callback = None;
    assert!(!update_callback(&mut task, 1, &CallbackUpdate::Delivered));
}

#[test]
fn progress_is_due_at_most_every_five_seconds_and_never_at_the_end() {
    let mut task = task([split(3)]);
    task.callback = task.callback.map(|callback| Callback { progress: Some(CallbackProgress::default()), ..callback });
    let mut due = Vec::new();
    for (number, after) in [(1, 0), (2, 1), (3, 60)] {
        let now = NOW.plus(Duration::from_secs(after));
        let mut page = page(&task, number);
        assert!(complete_page(&mut task, &mut page, 1, Outcome::succeeded(None), now));
        record_change(&mut task, now);
        due.push(task.progress_due());
    }
    assert_eq!(due, [Some(1), None, None], "due; too soon; ended");
}

#[test]
fn reopened_failed_pages_start_a_new_round_with_a_new_webhook() {
    let (mut task, _) = ended_task();
    assert!(update_callback(&mut task, 1, &CallbackUpdate::Delivered));
    task.dispatched = true;
    assert!(!reopen_failed(&mut task, 0, NOW), "nothing to reopen");
    assert!(reopen_failed(&mut task, 1, NOW));
    assert_eq!((task.round, task.status(), task.ended_at), (2, TaskStatus::Processing, None));
    assert_eq!((task.dispatched, task.updated, task.callback_state()), (false, false, CallbackState::Pending));
    assert!(!reopen_failed(&mut task, 1, NOW), "it is open");
}

#[test]
fn reopening_skips_pages_that_were_read_unless_all_are_wanted() {
    let (mut unread, _) = ended_task();
    let mut all = unread.clone();
    assert_eq!(reopen_all(&mut unread, false, NOW), Some(vec![]));
    assert_eq!(unread.counts, Counts { open: 1, succeeded: 1, ..Counts::default() });
    assert_eq!(reopen_all(&mut all, true, NOW), Some(vec![]));
    assert_eq!(all.counts, Counts { open: 2, ..Counts::default() });
    assert_eq!(reopen_all(&mut all, true, NOW), None, "it is open");
}

#[test]
fn a_failed_document_is_reopened_only_if_its_source_is_known() {
    let mut task = task([pending(), DocumentState::Failed(failure())]);
    finish_document(&mut task, 1, DocumentState::Failed(failure()));
    assert_eq!(task.status(), TaskStatus::Failed);
    let with_source: Vec<u32> =
        task.documents.iter().filter(|document| document.source.is_some()).map(|document| document.number).collect();
    assert_eq!(reopen_all(&mut task, false, NOW), Some(with_source.clone()).filter(|numbers| !numbers.is_empty()));
    assert_eq!(
        task.counts,
        Counts { open: with_source.len() as u32, failed: 2 - with_source.len() as u32, ..Counts::default() }
    );
}

#[test]
fn a_correction_is_a_round_of_its_own_in_which_the_page_succeeded() {
    let (mut task, [read, failed]) = ended_task();
    let mut corrected = failed;
    assert!(!correct_page(&mut task, &mut corrected, 1, None, NOW), "not the next round");
    assert!(correct_page(&mut task, &mut corrected, 2, Some(0.8), NOW));
    record_change(&mut task, NOW);
    assert_eq!((task.round, task.status(), task.updated), (2, TaskStatus::Succeeded, true));
    assert_eq!((corrected.status, corrected.round, corrected.failure), (PageStatus::Succeeded, 2, None));
    let mut again = Page { needs_review: true, ..read };
    assert!(correct_page(&mut task, &mut again, 3, None, NOW));
    assert_eq!((task.counts.succeeded, again.needs_review), (2, false));
}

#[test]
fn an_open_or_canceled_page_is_not_corrected() {
    let mut task = task([split(2)]);
    let mut page = page(&task, 1);
    assert!(!correct_page(&mut task, &mut page, 2, None, NOW), "the task is open");
    assert!(cancel(&mut task));
    assert!(!correct_page(&mut task, &mut page, 2, None, NOW), "the page was canceled");
}

proptest! {
    /// Whatever happens, no page is lost: the counts always add up to the same total.
    #[test]
    fn transitions_keep_the_number_of_pages(steps in prop::collection::vec((0_u8..5, 0_usize..4), 0..40)) {
        let mut task = task([split(4)]);
        let mut pages: Vec<Page> = (1..=4).map(|number| page(&task, number)).collect();
        for (step, index) in steps {
            let round = task.round;
            let page = &mut pages[index];
            let changed = match step {
                0 => complete_page(&mut task, page, round, Outcome::succeeded(None), NOW),
                1 => complete_page(&mut task, page, round, Outcome::Failed(failure()), NOW),
                2 => cancel(&mut task),
                3 => correct_page(&mut task, page, round + 1, None, NOW),
                _ => reopen_all(&mut task, true, NOW).is_some(),
            };
            if changed && step == 4 {
                for page in &mut pages {
                    *page = queued_page(page.page, task.round);
                }
            }
            if changed {
                record_change(&mut task, NOW);
            }
            prop_assert_eq!(task.counts.total(), 4);
            prop_assert_eq!(task.ended_at.is_some(), task.status().ended());
        }
    }
}
