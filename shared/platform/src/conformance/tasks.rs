//! The task table: creation, completion and reopening.

use std::time::{Duration, Instant};

use quire_tasks::{
    CallbackState, CallbackUpdate, Counts, Document, DocumentFormat, DocumentSource, DocumentState, Failure,
    FailureCode, Outcome, PageRef, PageStatus, SplitDocument, Task, TaskId, TaskStatus, Tenant, UnixMillis,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{SETTLE_TIME, TIMEOUT};
pub(super) use crate::now;
use crate::{Backend, Completion, Error, Reopen};

const CALLBACK: &str = "https://example.com/callback";

pub(super) fn split(pages: u32) -> DocumentState {
    DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages })
}

pub(super) fn pending() -> DocumentState {
    DocumentState::Pending { source: DocumentSource::Url { url: "https://example.com/a.pdf".to_owned() } }
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureCode::UnreadablePage, "the page is broken")
}

pub(super) fn succeeded() -> Outcome {
    Outcome::succeeded(Some(0.75))
}

/// Returns a new task with a unique id.
pub(super) fn task(states: impl IntoIterator<Item = DocumentState>) -> Task {
    let document = |(index, state)| Document::new(index as u32 + 1, Some("a.pdf".to_owned()), state);
    let documents = states.into_iter().enumerate().map(document).collect();
    Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, Some(CALLBACK.to_owned()))
}

pub(super) async fn created(backend: &Backend, states: impl IntoIterator<Item = DocumentState>) -> Task {
    match backend.tasks.create(task(states)).await.expect("create") {
        Completion::Applied(task) => task,
        Completion::Unchanged(task) => panic!("{} was there before", task.id),
    }
}

pub(super) fn page(task: &Task, document: u32, page: u32) -> PageRef {
    PageRef { task_id: task.id, document, page }
}

pub(super) async fn complete(backend: &Backend, of: PageRef, outcome: Outcome) -> Completion {
    backend.tasks.complete_page(of, 1, outcome).await.expect("complete")
}

/// Creates an ended task whose first page succeeded and whose second page failed.
pub(super) async fn half_failed(backend: &Backend) -> Task {
    let task = created(backend, [split(2)]).await;
    complete(backend, page(&task, 1, 1), succeeded()).await;
    let completion = complete(backend, page(&task, 1, 2), Outcome::Failed(failure())).await;
    assert_eq!(completion.task().status(), TaskStatus::PartiallySucceeded);
    completion.task().clone()
}

/// Creation is idempotent.
pub async fn a_task_is_created_once(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    let other = Task { documents: Vec::new(), counts: Counts::default(), ..task.clone() };
    let again = backend.tasks.create(other).await.expect("create");
    assert_eq!(again, Completion::Unchanged(task.clone()));
    assert_eq!(backend.tasks.task(task.id).await.expect("task"), task);
}

/// A created task is read back as a whole.
pub async fn a_task_reads_back_with_its_pages(backend: &Backend) {
    let failed = DocumentState::Failed(failure());
    let task = created(backend, [split(2), failed, pending(), split(1)]).await;
    assert_eq!(backend.tasks.task(task.id).await.expect("task"), task);
    assert_eq!((task.ended_at, task.dispatched), (None, false));
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(pages.iter().map(|page| page.page).collect::<Vec<_>>(), task.pages().collect::<Vec<_>>());
    for page in pages {
        assert_eq!(page.status, PageStatus::Queued);
        assert_eq!((page.failure.as_ref(), page.confidence, page.ended_at), (None, None, None));
        assert_eq!(backend.tasks.page(page.page).await.expect("page"), page);
    }
}

/// The pages of a task are read in batches, from any position.
pub async fn pages_are_listed_in_batches_of_any_size(backend: &Backend) {
    let task = created(backend, [split(12), split(3), pending(), split(1)]).await;
    complete(backend, page(&task, 1, 11), succeeded()).await;
    let all = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(all.len(), 16);
    for limit in [1, 5, 16, 17] {
        let mut read = Vec::new();
        loop {
            let after = read.last().map(|page: &quire_tasks::Page| page.page);
            let batch = backend.tasks.pages_after(task.id, after, limit).await.expect("a batch");
            let is_last = batch.len() < limit;
            read.extend(batch);
            if is_last {
                break;
            }
        }
        assert_eq!(read, all, "in batches of {limit}");
    }
    let second = backend.tasks.pages_after(task.id, Some(page(&task, 1, 99)), 2).await.expect("a batch");
    assert_eq!(second.iter().map(|page| page.page).collect::<Vec<_>>(), [page(&task, 2, 1), page(&task, 2, 2)]);
    assert_eq!(backend.tasks.pages_after(self::task([]).id, None, 5).await.expect("no task"), []);
    let mut of_document = crate::PageBatches::of_document(backend, task.id, 2);
    assert_eq!(of_document.next().await.expect("a batch").map(|pages| pages.len()), Some(3));
    assert_eq!(of_document.next().await.expect("the end"), None);
    assert_eq!(crate::PageBatches::of_task(backend, task.id).collect().await.expect("all"), all);
}

/// A task whose documents all failed has ended.
pub async fn a_task_without_a_readable_document_has_ended_at_once(backend: &Backend) {
    let task = created(backend, [DocumentState::Failed(failure())]).await;
    assert_eq!(task.status(), TaskStatus::Failed);
    assert!(task.ended_at.is_some() && task.needs_callback());
    assert_eq!(backend.tasks.task(task.id).await.expect("task"), task);
}

/// Missing tasks, documents and pages are distinct errors.
pub async fn missing_things_are_not_found(backend: &Backend) {
    let known = created(backend, [split(1)]).await;
    let unknown = task([]);
    let missing = |found: Result<(), Error>| assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
    for of in [page(&known, 1, 2), page(&known, 2, 1), page(&unknown, 1, 1)] {
        missing(backend.tasks.page(of).await.map(drop));
        missing(backend.tasks.complete_page(of, 1, succeeded()).await.map(drop));
    }
    missing(backend.tasks.finish_document(known.id, 2, split(1)).await.map(drop));
    let id = unknown.id;
    missing(backend.tasks.task(id).await.map(drop));
    missing(backend.tasks.mark_dispatched(id).await);
    missing(backend.tasks.update_callback(id, 1, CallbackUpdate::Delivered).await.map(drop));
    missing(backend.tasks.reopen(id, Reopen::Pages(Vec::new())).await.map(drop));
    missing(backend.tasks.cancel(id).await.map(drop));
    missing(backend.tasks.expire(id, now()).await.map(drop));
    missing(backend.tasks.reopen(id, Reopen::All).await.map(drop));
    missing(backend.tasks.wait_for_change(id, 1, Duration::ZERO).await.map(drop));
    assert!(backend.tasks.pages(id).await.expect("pages").is_empty());
}

/// The pages of a split document are queued with it.
pub async fn a_pending_document_is_finished_once(backend: &Backend) {
    let task = created(backend, [split(1), pending()]).await;
    let settled = backend.tasks.finish_document(task.id, 2, split(3)).await.expect("settle");
    assert!(settled.changed());
    let counts = Counts { open: 4, ..Counts::default() };
    assert_eq!((settled.task().counts, settled.task().version > task.version), (counts, true));
    assert_eq!(settled.task().pages().count(), 4);
    let pages = backend.tasks.pages(task.id).await.expect("pages");
    assert_eq!(pages.iter().map(|page| page.page).collect::<Vec<_>>(), settled.task().pages().collect::<Vec<_>>());
    for late in [split(1), DocumentState::Failed(failure()), pending()] {
        let again = backend.tasks.finish_document(task.id, 2, late).await.expect("settle");
        assert_eq!(again, Completion::Unchanged(settled.task().clone()));
    }
}

/// A failed document counts as a failed page.
pub async fn a_document_that_fails_may_end_its_task(backend: &Backend) {
    let task = created(backend, [split(1), pending()]).await;
    complete(backend, page(&task, 1, 1), succeeded()).await;
    let settled = backend.tasks.finish_document(task.id, 2, DocumentState::Failed(failure())).await.expect("settle");
    assert!(settled.changed());
    assert_eq!(settled.task().status(), TaskStatus::PartiallySucceeded);
    assert!(settled.task().ended_at.is_some());
}

/// The first outcome of a page is final.
pub async fn a_page_ends_once(backend: &Backend) {
    let task = created(backend, [split(2)]).await;
    let first = page(&task, 1, 1);
    let second = page(&task, 1, 2);
    let completion = complete(backend, first, succeeded()).await;
    assert!(completion.changed());
    assert_eq!(completion.task().status(), TaskStatus::Processing);
    assert_eq!(completion.task().ended_at, None);
    let ended = backend.tasks.page(first).await.expect("page");
    assert_eq!((ended.status, ended.round, ended.confidence), (PageStatus::Succeeded, 1, Some(0.75)));
    assert!(ended.ended_at.is_some());
    for late in [succeeded(), Outcome::Failed(failure())] {
        assert_eq!(complete(backend, first, late).await, Completion::Unchanged(completion.task().clone()));
        assert_eq!(backend.tasks.page(first).await.expect("page"), ended);
    }
    let last = complete(backend, second, Outcome::Failed(failure())).await;
    assert_eq!(last.task().status(), TaskStatus::PartiallySucceeded);
    assert!(last.task().ended_at.is_some() && last.task().needs_callback());
    let failed = backend.tasks.page(second).await.expect("page");
    assert_eq!((failed.status, failed.failure), (PageStatus::Failed, Some(failure())));
}

/// Outcomes of earlier and later rounds are ignored.
pub async fn an_outcome_of_another_round_changes_nothing(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    for round in [0, 2] {
        let completion = backend.tasks.complete_page(page(&task, 1, 1), round, succeeded()).await.expect("complete");
        assert_eq!(completion, Completion::Unchanged(task.clone()));
    }
    assert_eq!(backend.tasks.page(page(&task, 1, 1)).await.expect("page").status, PageStatus::Queued);
}

/// Of concurrent completions of a page one wins, and one page ends the task.
pub async fn one_of_many_concurrent_completions_succeeds(backend: &Backend) {
    const PAGES: u32 = 20;
    let task = created(backend, [split(PAGES)]).await;
    let mut tries = JoinSet::new();
    for of in (0..4).flat_map(|_| task.pages()) {
        let tasks = backend.tasks.clone();
        tries.spawn(async move {
            let completion =
                crate::retry_with_backoff(|| tasks.complete_page(of, 1, succeeded())).await.expect("complete");
            (of, completion)
        });
    }
    let mut made: Vec<(PageRef, Task)> = Vec::new();
    for (of, completion) in tries.join_all().await {
        if let Completion::Applied(task) = completion {
            made.push((of, task));
        }
    }
    let ending = made.iter().filter(|(_, task)| task.status().ended()).count();
    let mut pages: Vec<PageRef> = made.into_iter().map(|(of, _)| of).collect();
    pages.sort_unstable();
    assert_eq!(pages, task.pages().collect::<Vec<_>>(), "each page once");
    assert_eq!(ending, 1, "one completion ends the task");
    let ended = backend.tasks.task(task.id).await.expect("task");
    assert_eq!(ended.counts, Counts { succeeded: PAGES, ..Counts::default() });
    assert!(ended.ended_at.is_some());
}

/// A delivered callback stays delivered.
pub async fn a_callback_is_updated_in_its_round_only(backend: &Backend) {
    let task = half_failed(backend).await;
    let retrying = CallbackUpdate::Retrying { error: "503".to_owned() };
    let other_round = backend.tasks.update_callback(task.id, 2, retrying.clone()).await.expect("update");
    assert_eq!(other_round, Completion::Unchanged(task.clone()));
    let tried = backend.tasks.update_callback(task.id, 1, retrying.clone()).await.expect("update");
    assert!(tried.changed() && tried.task().version > task.version);
    assert_eq!(tried.task().callback_state(), CallbackState::Retrying);
    let delivered = backend.tasks.update_callback(task.id, 1, CallbackUpdate::Delivered).await.expect("update");
    assert_eq!(delivered.task().callback.as_ref().map(|callback| callback.attempts), Some(2));
    let late = backend.tasks.update_callback(task.id, 1, retrying).await.expect("update");
    assert_eq!(late, Completion::Unchanged(delivered.task().clone()));
    let plain = Task { callback: None, ..self::task([split(1)]) };
    backend.tasks.create(plain.clone()).await.expect("create");
    let none = backend.tasks.update_callback(plain.id, 1, CallbackUpdate::Delivered).await.expect("update");
    assert!(!none.changed());
}

/// Reopening starts a new round with a webhook of its own; pages that succeeded stay.
pub async fn a_failed_page_is_reopened(backend: &Backend) {
    let task = half_failed(backend).await;
    backend.tasks.update_callback(task.id, 1, CallbackUpdate::Delivered).await.expect("update");
    let failed = page(&task, 1, 2);
    let opened =
        backend.tasks.reopen(task.id, Reopen::Pages(vec![failed, failed, page(&task, 1, 1)])).await.expect("reopen");
    assert!(opened.changed());
    let opened = opened.task().clone();
    assert_eq!((opened.round, opened.ended_at, opened.status()), (2, None, TaskStatus::Processing));
    assert_eq!(opened.counts, Counts { open: 1, succeeded: 1, ..Counts::default() });
    assert_eq!(opened.callback.as_ref().map(|c| (c.state, c.attempts)), Some((CallbackState::Pending, 0)));
    let first = backend.tasks.page(page(&task, 1, 1)).await;
    let second = backend.tasks.page(failed).await;
    assert_eq!(first.map(|page| (page.status, page.round)).expect("page"), (PageStatus::Succeeded, 1));
    assert_eq!(second.map(|page| (page.status, page.failure)).expect("page"), (PageStatus::Queued, None));
    assert!(!complete(backend, failed, succeeded()).await.changed(), "the first round is over");
    let completion = backend.tasks.complete_page(failed, 2, succeeded()).await.expect("complete");
    assert_eq!((completion.changed(), completion.task().status()), (true, TaskStatus::Succeeded));
}

/// Pages that succeeded, and open tasks, are not reopened.
pub async fn only_failed_pages_of_an_ended_task_are_reopened(backend: &Backend) {
    let task = half_failed(backend).await;
    for pages in [vec![], vec![page(&task, 1, 1)]] {
        assert_eq!(
            backend.tasks.reopen(task.id, Reopen::Pages(pages)).await.expect("reopen"),
            Completion::Unchanged(task.clone())
        );
    }
    let open = created(backend, [split(2)]).await;
    let failed = page(&open, 1, 1);
    complete(backend, failed, Outcome::Failed(failure())).await;
    assert!(!backend.tasks.reopen(open.id, Reopen::Pages(vec![failed])).await.expect("reopen").changed());
}

/// A task whose creator crashed before sending its messages is found.
pub async fn an_undispatched_task_is_found_until_it_is_dispatched(backend: &Backend) {
    let first = created(backend, [split(1)]).await;
    let second = created(backend, [split(1)]).await;
    let later = UnixMillis(now().0 + 1);
    let found = backend.tasks.list_undispatched(later, 10_000).await.expect("undispatched");
    assert!(found.contains(&first) && found.contains(&second));
    assert!(found.is_sorted_by_key(|task| task.created_at), "the oldest come first");
    assert!(!backend.tasks.list_undispatched(first.created_at, 10_000).await.expect("undispatched").contains(&first));
    assert_eq!(backend.tasks.list_undispatched(later, 1).await.expect("undispatched").len(), 1);
    for _ in 0..2 {
        backend.tasks.mark_dispatched(first.id).await.expect("mark");
    }
    assert!(backend.tasks.task(first.id).await.expect("task").dispatched);
    let found = backend.tasks.list_undispatched(later, 10_000).await.expect("undispatched");
    assert!(!found.iter().any(|task| task.id == first.id) && found.contains(&second));
}

/// Its messages must be sent again.
pub async fn a_reopened_task_is_undispatched(backend: &Backend) {
    let task = half_failed(backend).await;
    backend.tasks.mark_dispatched(task.id).await.expect("mark");
    let opened = backend.tasks.reopen(task.id, Reopen::Pages(vec![page(&task, 1, 2)])).await.expect("reopen");
    let found = backend.tasks.list_undispatched(UnixMillis(now().0 + 1), 10_000).await.expect("undispatched");
    assert!(found.contains(opened.task()));
}

/// Long polling of a task returns after a change.
pub async fn waiting_for_a_change_returns_after_it(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    let tasks = backend.tasks.clone();
    let id = task.id;
    let seen = task.version;
    let waiting =
        tokio::spawn(async move { tasks.wait_for_change(id, seen, TIMEOUT).await.map(|task| (task, Instant::now())) });
    tokio::time::sleep(SETTLE_TIME / 2).await;
    let made = Instant::now();
    let completion = complete(backend, page(&task, 1, 1), succeeded()).await;
    let (changed, noticed) = waiting.await.expect("waited").expect("task");
    assert_eq!(&changed, completion.task());
    assert!(noticed.duration_since(made) < 2 * SETTLE_TIME);
    let at_once = backend.tasks.wait_for_change(id, seen, TIMEOUT).await.expect("task");
    assert_eq!(&at_once, completion.task(), "a change from before is noticed at once");
}

/// Long polling of a task returns the current task after its timeout.
pub async fn waiting_for_a_change_times_out(backend: &Backend) {
    let task = created(backend, [split(1)]).await;
    let started = Instant::now();
    let same = backend.tasks.wait_for_change(task.id, task.version, SETTLE_TIME / 2).await.expect("task");
    assert_eq!(same, task);
    let waited = started.elapsed();
    assert!(waited >= SETTLE_TIME * 4 / 10 && waited < 3 * SETTLE_TIME, "{waited:?}");
}
