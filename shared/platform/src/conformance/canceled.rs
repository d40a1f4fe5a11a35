//! The task table: cancellation and reopening.

use quire_tasks::{
    CallbackProgress, CallbackState, Counts, DocumentSource, DocumentState, Outcome, PageStatus, Task, TaskStatus,
    UnixMillis,
};

use super::tasks::{complete, created, failure, now, page, pending, split, succeeded, task};
use crate::{Backend, Completion, QueueName, Reopen, enqueue_progress};

async fn reopen(backend: &Backend, task: &Task, scope: Reopen) -> Completion {
    backend.tasks.reopen(task.id, scope).await.expect("reopen")
}

async fn cancel(backend: &Backend, task: &Task) -> Task {
    let canceled = backend.tasks.cancel(task.id).await.expect("cancel");
    assert!(canceled.changed(), "{canceled:?}");
    canceled.task().clone()
}

/// Returns each page's status and the round of its row.
async fn pages(backend: &Backend, task: &Task) -> Vec<(PageStatus, u32)> {
    let task = backend.tasks.task(task.id).await.expect("task");
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    for of in &pages {
        assert_eq!(&backend.tasks.page(of.page).await.expect("page"), of);
    }
    pages.iter().map(|page| (task.status_of(page), page.round)).collect()
}

/// Creates a canceled task: one page succeeded, one failed, two were canceled; one document failed and its source is
/// unknown, one failed with a known source, and one was canceled before it was fetched.
async fn canceled_halfway(backend: &Backend) -> Task {
    let task = created(backend, [split(4), DocumentState::Failed(failure()), pending(), pending()]).await;
    complete(backend, page(&task, 1, 1), succeeded()).await;
    complete(backend, page(&task, 1, 2), Outcome::Failed(failure())).await;
    backend.tasks.finish_document(task.id, 3, DocumentState::Failed(failure())).await.expect("settle");
    let task = cancel(backend, &task).await;
    assert_eq!(task.counts, Counts { open: 0, succeeded: 1, failed: 3, canceled: 3 });
    task
}

/// Everything that is open is canceled with the task, and a webhook is due.
pub async fn an_open_task_is_canceled_at_once(backend: &Backend) {
    use PageStatus::{Canceled, Failed, Succeeded};
    let task = canceled_halfway(backend).await;
    assert_eq!(task.status(), TaskStatus::Canceled);
    assert!(task.ended_at.is_some() && task.needs_callback() && task.dispatched);
    assert_eq!(backend.tasks.task(task.id).await.expect("task"), task);
    assert_eq!(pages(backend, &task).await, [(Succeeded, 1), (Failed, 1), (Canceled, 1), (Canceled, 1)]);
    let before = Completion::Unchanged(task.clone());
    assert_eq!(complete(backend, page(&task, 1, 3), succeeded()).await, before, "too late");
    assert_eq!(backend.tasks.finish_document(task.id, 4, split(2)).await.expect("settle"), before);
    assert_eq!(backend.tasks.correct_page(page(&task, 1, 3), 2, None).await.expect("correct"), before);
    assert_eq!(backend.tasks.cancel(task.id).await.expect("cancel"), before, "once");
    let undispatched = backend.tasks.list_undispatched(UnixMillis(now().0 + 1), 10_000).await.expect("undispatched");
    assert!(undispatched.iter().all(|other| other.id != task.id), "nothing of it is sent any more");
}

/// An ended task stays as it is.
pub async fn an_ended_task_is_not_canceled(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    let ended = complete(backend, page(&task, 1, 1), succeeded()).await.task().clone();
    assert_eq!(backend.tasks.cancel(task.id).await.expect("cancel"), Completion::Unchanged(ended));
}

/// `Reopen::Unread` reopens failed and canceled pages, and documents with a known source, but no page that succeeded.
pub async fn unread_pages_are_reopened(backend: &Backend) {
    use PageStatus::{Queued, Succeeded};
    let task = canceled_halfway(backend).await;
    let opened = reopen(backend, &task, Reopen::Unread).await;
    assert!(opened.changed());
    let opened = opened.task().clone();
    assert_eq!((opened.round, opened.status(), opened.ended_at), (2, TaskStatus::Processing, None));
    assert_eq!(opened.counts, Counts { open: 5, succeeded: 1, failed: 1, canceled: 0 });
    assert_eq!((opened.callback_state(), opened.dispatched), (CallbackState::Pending, false));
    assert_eq!(backend.tasks.task(task.id).await.expect("task"), opened);
    let waits = |number| matches!(opened.document(number).map(|one| &one.state), Some(DocumentState::Pending { .. }));
    assert_eq!([2, 3, 4].map(waits), [false, true, true]);
    assert_eq!(pages(backend, &task).await, [(Succeeded, 1), (Queued, 2), (Queued, 2), (Queued, 2)]);

    assert!(!complete(backend, page(&task, 1, 3), succeeded()).await.changed(), "of the round before");
    for (document, found) in [(3, split(1)), (4, DocumentState::Failed(failure()))] {
        assert!(backend.tasks.finish_document(task.id, document, found).await.expect("settle").changed());
    }
    for of in [page(&task, 1, 2), page(&task, 1, 3), page(&task, 1, 4), page(&task, 3, 1)] {
        let read = backend.tasks.complete_page(of, 2, succeeded()).await.expect("complete");
        assert!(read.changed(), "{read:?}");
    }
    let ended = backend.tasks.task(task.id).await.expect("task");
    assert_eq!((ended.status(), ended.counts.succeeded), (TaskStatus::PartiallySucceeded, 5));
    assert!(ended.needs_callback());
}

/// `Reopen::All` also reopens pages that succeeded; a later `Reopen::Unread` leaves those that succeeded again.
pub async fn a_whole_task_is_reopened(backend: &Backend) {
    use PageStatus::{Canceled, Queued, Succeeded};
    let task = created(backend, [split(3)]).await;
    for of in task.pages() {
        complete(backend, of, succeeded()).await;
    }
    let opened = reopen(backend, &task, Reopen::All).await;
    assert_eq!((opened.changed(), opened.task().counts.open, opened.task().round), (true, 3, 2));
    let anew = backend.tasks.page(page(&task, 1, 1)).await.expect("page");
    assert_eq!((anew.status, anew.confidence, anew.ended_at), (Queued, None, None));
    let read =
        backend.tasks.complete_page(page(&task, 1, 2), 2, Outcome::succeeded(Some(0.5))).await.expect("complete");
    assert!(read.changed());
    cancel(backend, &task).await;
    assert_eq!(pages(backend, &task).await, [(Canceled, 2), (Succeeded, 2), (Canceled, 2)]);
    let opened = reopen(backend, &task, Reopen::Unread).await;
    assert_eq!(opened.task().counts, Counts { open: 2, succeeded: 1, ..Counts::default() });
    assert_eq!(pages(backend, &task).await, [(Queued, 3), (Succeeded, 2), (Queued, 3)]);
    for number in [1, 3] {
        assert!(backend.tasks.complete_page(page(&task, 1, number), 3, succeeded()).await.expect("complete").changed());
    }
    assert_eq!(backend.tasks.task(task.id).await.expect("task").status(), TaskStatus::Succeeded);
}

/// Only the pages that were named are reopened.
pub async fn a_canceled_page_stays_canceled_when_a_failed_one_is_reopened(backend: &Backend) {
    use PageStatus::{Canceled, Failed, Queued, Succeeded};
    let task = canceled_halfway(backend).await;
    let failed = page(&task, 1, 2);
    let canceled = page(&task, 1, 3);
    let opened = reopen(backend, &task, Reopen::Pages(vec![failed, canceled])).await;
    assert_eq!(opened.task().counts, Counts { open: 1, succeeded: 1, failed: 2, canceled: 3 });
    assert_eq!(pages(backend, &task).await, [(Succeeded, 1), (Queued, 2), (Canceled, 1), (Canceled, 1)]);
    for round in [1, 2] {
        let stray = backend.tasks.complete_page(canceled, round, succeeded()).await.expect("an answer");
        assert_eq!(stray, Completion::Unchanged(opened.task().clone()));
    }
    let failed = backend.tasks.complete_page(failed, 2, Outcome::Failed(failure())).await.expect("complete");
    assert_eq!((failed.changed(), failed.task().status()), (true, TaskStatus::Canceled));
    let corrected = backend.tasks.correct_page(page(&task, 1, 2), 3, None).await.expect("correct");
    assert!(corrected.changed());
    assert_eq!(pages(backend, &task).await, [(Succeeded, 1), (Succeeded, 3), (Canceled, 1), (Canceled, 1)]);
    let opened = reopen(backend, &task, Reopen::Unread).await;
    assert_eq!((opened.task().counts.open, opened.task().counts.failed), (4, 1));
    assert_eq!(pages(backend, &task).await, [(Succeeded, 1), (Succeeded, 3), (Queued, 4), (Queued, 4)]);
    assert_ne!(Failed, Queued);
}

/// Nothing changes if the task is open, all pages succeeded, or no failed document has a known source.
pub async fn reopening_nothing_changes_nothing(backend: &Backend) {
    let open = created(backend, [split(2)]).await;
    let open = complete(backend, page(&open, 1, 1), Outcome::Failed(failure())).await.task().clone();
    let lost = created(backend, [DocumentState::Failed(failure())]).await;
    for (task, scopes) in [(&open, vec![Reopen::Unread, Reopen::All]), (&lost, vec![Reopen::Unread, Reopen::All])] {
        for scope in scopes {
            assert_eq!(reopen(backend, task, scope).await, Completion::Unchanged(task.clone()));
        }
    }
    let read = complete(backend, page(&open, 1, 2), succeeded()).await.task().clone();
    let corrected = backend.tasks.correct_page(page(&read, 1, 1), 2, None).await.expect("correct").task().clone();
    assert_eq!(reopen(backend, &read, Reopen::Unread).await, Completion::Unchanged(corrected));
}

/// The number of pages is not limited by the size of a transaction.
pub async fn a_task_of_thousands_of_pages_is_canceled_and_reopened(backend: &Backend) {
    const PAGES: u32 = 3_000;
    let task = created(backend, [split(PAGES)]).await;
    complete(backend, page(&task, 1, 7), succeeded()).await;
    complete(backend, page(&task, 1, 8), Outcome::Failed(failure())).await;
    assert_eq!(cancel(backend, &task).await.counts.canceled, PAGES - 2);
    let opened = reopen(backend, &task, Reopen::Unread).await;
    assert_eq!(opened.task().counts, Counts { open: PAGES - 1, succeeded: 1, ..Counts::default() });
    let statuses = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(statuses.len(), PAGES as usize);
    assert!(statuses.iter().all(|one| (one.page.page == 7) == (one.status == PageStatus::Succeeded)));
    let last = backend.tasks.complete_page(page(&task, 1, PAGES), 2, succeeded()).await.expect("complete");
    assert!(last.changed());
    cancel(backend, &task).await;
    assert_eq!(reopen(backend, &task, Reopen::All).await.task().counts.open, PAGES);
    let statuses = backend.tasks.pages(task.id).await.expect("pages");
    assert!(statuses.iter().all(|one| (one.status, one.round) == (PageStatus::Queued, 3)));
}

/// The completion of a page makes a progress webhook due, rate-limited, and the completing process sends it.
pub async fn a_completed_page_makes_progress_due(backend: &Backend) {
    let mut task = task([split(3)]);
    if let Some(callback) = &mut task.callback {
        callback.progress = Some(CallbackProgress::default());
    }
    backend.tasks.create(task.clone()).await.expect("create");
    let first = complete(backend, page(&task, 1, 1), succeeded()).await;
    assert_eq!(first.task().progress_due(), Some(1));
    assert_eq!(backend.tasks.task(task.id).await.expect("task").progress_due(), Some(1));
    let again = complete(backend, page(&task, 1, 1), succeeded()).await;
    let second = complete(backend, page(&task, 1, 2), succeeded()).await;
    assert_eq!(second.task().progress_due(), None, "too soon after the first");
    let last = complete(backend, page(&task, 1, 3), succeeded()).await;
    assert_eq!(last.task().progress_due(), None, "the end has its own callback");
    for completion in [&first, &again, &second, &last] {
        enqueue_progress(backend, completion).await.expect("owed");
    }
    let sent = backend.queue(QueueName::Callbacks).receive(10, super::SETTLE_TIME).await.expect("received");
    let [message] = sent.as_slice() else { panic!("one message: {sent:?}") };
    assert!(message.body.contains(r#""progress":1"#), "{}", message.body);
}

/// A failed document keeps its source, so that it can be fetched again.
pub async fn a_failed_document_keeps_its_source(backend: &Backend) {
    let task = created(backend, [pending()]).await;
    let failed = backend.tasks.finish_document(task.id, 1, DocumentState::Failed(failure())).await.expect("settle");
    let source = failed.task().documents[0].source.clone();
    assert!(matches!(source, Some(DocumentSource::Url { .. })), "{source:?}");
    let opened = reopen(backend, &task, Reopen::Unread).await;
    let DocumentState::Pending { source: again } = &opened.task().documents[0].state else { panic!("it is pending") };
    assert_eq!(Some(again), source.as_ref());
}
