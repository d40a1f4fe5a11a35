//! The task table: corrections of pages by a person.

use quire_tasks::{
    CallbackState, CallbackUpdate, Counts, DocumentState, Outcome, Page, PageRef, PageStatus, Task, TaskStatus,
};
use tokio::task::JoinSet;

use super::tasks::{complete, created, failure, half_failed, page, split, succeeded};
use crate::{Backend, Completion, Error, Reopen};

async fn correct(backend: &Backend, of: PageRef, round: u32) -> Completion {
    backend.tasks.correct_page(of, round, Some(1.0)).await.expect("correct")
}

async fn told(backend: &Backend, task: &Task) {
    let told = backend.tasks.update_callback(task.id, task.round, CallbackUpdate::Delivered).await.expect("update");
    assert_eq!(told.task().callback_state(), CallbackState::Delivered);
}

/// Asserts that a webhook is due for this round.
fn assert_callback_is_due(task: &Task, round: u32) {
    assert_eq!((task.round, task.updated, task.needs_callback()), (round, true, true));
    assert_eq!(task.callback.as_ref().map(|c| (c.state, c.attempts)), Some((CallbackState::Pending, 0)));
}

/// Asserts that the page has succeeded, in this round.
fn assert_corrected(page: &Page, round: u32) {
    assert_eq!((page.status, page.round, page.needs_review), (PageStatus::Succeeded, round, false));
    assert_eq!((page.failure.as_ref(), page.confidence), (None, Some(1.0)));
}

/// A corrected page has succeeded, and its task is updated with it.
pub async fn a_failed_page_is_corrected(backend: &Backend) {
    let task = half_failed(backend).await;
    told(backend, &task).await;
    let failed = page(&task, 1, 2);
    let before = backend.tasks.page(failed).await.expect("page");
    let corrected = correct(backend, failed, 2).await;
    assert!(corrected.changed() && corrected.task().version > task.version + 1);
    let after = backend.tasks.task(task.id).await.expect("task");
    assert_eq!(&after, corrected.task());
    assert_callback_is_due(&after, 2);
    assert_eq!(after.status(), TaskStatus::Succeeded);
    assert_eq!(after.counts, Counts { succeeded: 2, ..Counts::default() });
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert_corrected(&pages[1], 2);
    assert!(pages[1].ended_at >= before.ended_at && after.ended_at >= pages[1].ended_at);
    assert_eq!((pages[0].status, pages[0].round), (PageStatus::Succeeded, 1), "the other stays as it was");
}

/// A page with low confidence is corrected.
pub async fn a_page_that_needs_a_review_is_corrected(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    let unsure = page(&task, 1, 1);
    let read = complete(backend, unsure, Outcome::Succeeded { confidence: Some(0.25), needs_review: true }).await;
    assert!(backend.tasks.page(unsure).await.expect("page").needs_review);
    told(backend, read.task()).await;
    let corrected = correct(backend, unsure, 2).await;
    assert_callback_is_due(corrected.task(), 2);
    assert_eq!(corrected.task().counts, read.task().counts);
    assert_corrected(&backend.tasks.page(unsure).await.expect("page"), 2);
    // A corrected page can be corrected again, e.g. to an empty text.
    let again = backend.tasks.correct_page(unsure, 3, None).await.expect("correct");
    assert_callback_is_due(again.task(), 3);
    assert_eq!(backend.tasks.page(unsure).await.expect("page").confidence, None);
}

/// A correction needs an ended task, an ended page and the next round.
pub async fn only_an_ended_page_of_an_ended_task_is_corrected_in_the_next_round(backend: &Backend) {
    let task = half_failed(backend).await;
    for (round, number) in [(0, 2), (1, 2), (3, 2), (1, 1)] {
        assert_eq!(
            correct(backend, page(&task, 1, number), round).await,
            Completion::Unchanged(task.clone()),
            "{round}"
        );
    }
    let failed = backend.tasks.page(page(&task, 1, 2)).await.expect("page");
    assert_eq!((failed.status, failed.failure), (PageStatus::Failed, Some(failure())));

    let open = created(backend, [split(2)]).await;
    let ended = complete(backend, page(&open, 1, 1), Outcome::Failed(failure())).await;
    for number in [1, 2] {
        let corrected = correct(backend, page(&open, 1, number), 2).await;
        assert_eq!(corrected, Completion::Unchanged(ended.task().clone()), "the task is open");
    }

    for unknown in [page(&task, 1, 3), page(&task, 2, 1), page(&super::tasks::task([]), 1, 1)] {
        let corrected = backend.tasks.correct_page(unknown, 2, None).await;
        assert!(matches!(corrected, Err(Error::NotFound { .. })), "{corrected:?}");
    }
}

/// Both corrections, of one page or of two, start from the same round: one loses the race.
pub async fn one_of_two_concurrent_corrections_succeeds(backend: &Backend) {
    let task = created(backend, [split(2)]).await;
    for of in task.pages() {
        complete(backend, of, Outcome::Failed(failure())).await;
    }
    let mut tries = JoinSet::new();
    for of in (0..3).flat_map(|_| task.pages()) {
        let tasks = backend.tasks.clone();
        tries.spawn(
            async move { crate::retry_with_backoff(|| tasks.correct_page(of, 2, None)).await.expect("correct") },
        );
    }
    let made = tries.join_all().await.into_iter().filter(Completion::changed).count();
    assert_eq!(made, 1);
    let after = backend.tasks.task(task.id).await.expect("task");
    assert_eq!((after.round, after.counts), (2, Counts { succeeded: 1, failed: 1, ..Counts::default() }));
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(pages.iter().filter(|page| page.status == PageStatus::Succeeded).count(), 1);
    assert_eq!(pages.iter().filter(|page| page.round == 2).count(), 1);
}

/// Corrected pages stay corrected when failed pages are reopened, and the new round is not an update.
pub async fn failed_pages_are_reopened_after_a_correction(backend: &Backend) {
    let task = created(backend, [split(2), DocumentState::Failed(failure())]).await;
    for of in task.pages() {
        complete(backend, of, Outcome::Failed(failure())).await;
    }
    let corrected = page(&task, 1, 1);
    let failed = page(&task, 1, 2);
    assert_eq!(correct(backend, corrected, 2).await.task().status(), TaskStatus::PartiallySucceeded);
    assert!(!backend.tasks.complete_page(failed, 2, succeeded()).await.expect("complete").changed());
    let opened = backend.tasks.reopen(task.id, Reopen::Pages(vec![corrected, failed])).await.expect("reopen");
    assert!(opened.changed());
    assert_eq!((opened.task().round, opened.task().updated), (3, false));
    assert_eq!(opened.task().counts, Counts { open: 1, succeeded: 1, failed: 1, ..Counts::default() });
    assert_corrected(&backend.tasks.page(corrected).await.expect("page"), 2);
    let completion = backend.tasks.complete_page(failed, 3, succeeded()).await.expect("complete");
    assert!(completion.changed() && completion.task().needs_callback() && !completion.task().updated);
}
