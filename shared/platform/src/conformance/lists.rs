//! The task table: lists, expiry and deletion.

use std::time::Duration;

use quire_tasks::{CallbackState, CallbackUpdate, Counts, Outcome, Task, TaskStatus, Tenant, UnixMillis};

use super::{
    tasks::{complete, created, failure, now, page, pending, split, succeeded, task},
    unique,
};
use crate::{Backend, Completion, Error, Reopen, TaskCursor};

const HOUR: Duration = Duration::from_hours(1);

/// Creates a task of this tenant with this creation time.
async fn accepted(backend: &Backend, tenant: &Tenant, at: i64) -> Task {
    let task = Task { tenant: tenant.clone(), created_at: UnixMillis(at), ..task([split(1)]) };
    match backend.tasks.create(task).await.expect("create") {
        Completion::Applied(task) => task,
        Completion::Unchanged(task) => panic!("{} was there before", task.id),
    }
}

fn tenant() -> Tenant {
    unique("tenant").parse().expect("a valid tenant")
}

/// Pagination also works for tasks with the same creation time; other tenants' and older tasks are not listed.
pub async fn tasks_are_listed_newest_first_with_pagination(backend: &Backend) {
    let mine = tenant();
    let other = tenant();
    let start = now().0;
    let mut tasks = Vec::new();
    for at in [1, 0, 2, 1, 1, 0, 3] {
        tasks.push(accepted(backend, &mine, start + at).await);
        accepted(backend, &other, start + at).await;
    }
    tasks.sort_by_key(|task| std::cmp::Reverse(TaskCursor::at(task)));
    let list = async |since: Option<i64>, after, limit| {
        backend.tasks.list(&mine, since.map(UnixMillis), after, limit).await.expect("list")
    };
    assert_eq!(list(None, None, 100).await, tasks);
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let more = list(None, after, 2).await;
        assert!(more.len() <= 2);
        let Some(end) = more.last() else { break };
        after = Some(TaskCursor::at(end));
        listed.extend(more);
    }
    assert_eq!(listed, tasks, "one page after the other");
    assert_eq!(list(Some(start + 1), None, 100).await, tasks[..5], "not older");
    assert_eq!(list(Some(start + 1), Some(TaskCursor::at(&tasks[1])), 2).await, tasks[2..4]);
    assert_eq!(list(Some(start + 9), None, 100).await, []);
    assert_eq!(list(None, None, 0).await, []);
    let gone = TaskCursor { created_at: UnixMillis(start + 3), id: quire_tasks::TaskId::derive_from(&["gone"]) };
    assert!(list(None, Some(gone), 100).await.len() >= 6, "the place need not be taken");
    assert_eq!(backend.tasks.list(&tenant(), None, None, 100).await.expect("list"), []);
}

/// A list shows the current state of tasks.
pub async fn a_list_shows_current_tasks(backend: &Backend) {
    let mine = tenant();
    let task = accepted(backend, &mine, now().0).await;
    let ended = complete(backend, page(&task, 1, 1), succeeded()).await;
    assert_eq!(backend.tasks.list(&mine, None, None, 10).await.expect("list"), [ended.task().clone()]);
    backend.tasks.remove(task.id).await.expect("remove");
    assert_eq!(backend.tasks.list(&mine, None, None, 10).await.expect("list"), []);
}

/// Expired tasks are listed by their expiry.
pub async fn expired_tasks_are_listed_by_expiry(backend: &Backend) {
    let now = now();
    let mut tasks = Vec::new();
    for ago in [30, 10, 20, 40, 15, 35, 25] {
        let expires_at = UnixMillis(now.0 - ago * 1000);
        let created = backend.tasks.create(Task { expires_at, ..task([split(1)]) }).await.expect("create");
        tasks.push(created.task().clone());
    }
    let later = created(backend, [split(1)]).await;
    tasks.sort_by_key(|task| task.expires_at);
    let expired = backend.tasks.list_expired(now, 10_000).await.expect("expired");
    assert!(expired.is_sorted_by_key(|task| task.expires_at));
    let mine = expired.into_iter().filter(|one| tasks.iter().any(|task| task.id == one.id)).collect::<Vec<_>>();
    assert_eq!(mine, tasks);
    assert_eq!(backend.tasks.list_expired(now, 3).await.expect("expired").len(), 3);
    assert_eq!(backend.tasks.list_expired(now, 0).await.expect("expired"), []);
    assert!(!backend.tasks.list_expired(now, 10_000).await.expect("expired").contains(&later));
    let at = tasks[0].expires_at;
    assert!(backend.tasks.list_expired(at, 10_000).await.expect("expired").contains(&tasks[0]), "at that very time");
    assert!(!backend.tasks.list_expired(UnixMillis(at.0 - 1), 10_000).await.expect("expired").contains(&tasks[0]));
}

/// A task that was expired is canceled; its pages are not completed, corrected or reopened, and no webhook is due.
pub async fn an_expired_task_accepts_no_more_changes(backend: &Backend) {
    let task = created(backend, [split(2), pending()]).await;
    complete(backend, page(&task, 1, 1), Outcome::Failed(failure())).await;
    let at = now();
    let expired = backend.tasks.expire(task.id, at).await.expect("expire");
    assert!(expired.changed());
    let expired = expired.task().clone();
    assert_eq!((expired.status(), expired.expires_at), (TaskStatus::Canceled, at));
    assert_eq!(expired.counts, Counts { failed: 1, canceled: 2, ..Counts::default() });
    assert_eq!((expired.callback_state(), expired.needs_callback()), (CallbackState::None, false));
    let before = Completion::Unchanged(expired.clone());
    assert_eq!(complete(backend, page(&task, 1, 2), succeeded()).await, before);
    assert_eq!(backend.tasks.finish_document(task.id, 2, split(1)).await.expect("settle"), before);
    for scope in [Reopen::Unread, Reopen::All, Reopen::Pages(vec![page(&task, 1, 1)])] {
        assert_eq!(backend.tasks.reopen(task.id, scope).await.expect("reopen"), before);
    }
    assert_eq!(backend.tasks.correct_page(page(&task, 1, 1), 2, None).await.expect("correct"), before);
    for update in [CallbackUpdate::Resend, CallbackUpdate::Redrive] {
        assert_eq!(backend.tasks.update_callback(task.id, 1, update).await.expect("update"), before);
    }
    for at in [at, at.plus(HOUR)] {
        assert_eq!(backend.tasks.expire(task.id, at).await.expect("expire"), before, "it is never put off");
    }
    assert!(backend.tasks.list_expired(at, 10_000).await.expect("expired").contains(&expired));
    let undispatched = backend.tasks.list_undispatched(UnixMillis(now().0 + 1), 10_000).await.expect("undispatched");
    assert!(!undispatched.contains(&expired));
}

/// A task may expire while its pages are in flight.
pub async fn pages_of_an_expired_task_are_not_completed(backend: &Backend) {
    let old =
        Task { created_at: UnixMillis(now().0 - 2_000), ..task([split(2)]) }.with_retention(Duration::from_secs(1));
    let created = backend.tasks.create(old.clone()).await.expect("create").task().clone();
    assert_eq!(complete(backend, page(&old, 1, 1), succeeded()).await, Completion::Unchanged(created.clone()));
    let expired = backend.tasks.expire(old.id, created.expires_at).await.expect("expire");
    assert!(expired.changed(), "what was open is not any more");
    assert_eq!((expired.task().status(), expired.task().expires_at), (TaskStatus::Canceled, old.expires_at));
}

/// A deleted task does not exist any more.
pub async fn a_removed_task_does_not_exist(backend: &Backend) {
    let task = created(backend, [split(150), pending()]).await;
    let other = created(backend, [split(2)]).await;
    for _ in 0..2 {
        backend.tasks.remove(task.id).await.expect("remove");
    }
    let missing = |found: Result<(), Error>| assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
    missing(backend.tasks.task(task.id).await.map(drop));
    missing(backend.tasks.page(page(&task, 1, 1)).await.map(drop));
    missing(backend.tasks.cancel(task.id).await.map(drop));
    missing(backend.tasks.expire(task.id, now()).await.map(drop));
    missing(backend.tasks.complete_page(page(&task, 1, 1), 1, succeeded()).await.map(drop));
    assert_eq!(backend.tasks.pages(task.id).await.expect("pages"), []);
    assert!(
        !backend.tasks.list_undispatched(UnixMillis(now().0 + 1), 10_000).await.expect("undispatched").contains(&task)
    );
    assert_eq!(backend.tasks.task(other.id).await.expect("task"), other);
    assert_eq!(backend.tasks.pages(other.id).await.expect("pages").len(), 2);
    let anew = backend.tasks.create(Task { documents: Vec::new(), ..task.clone() }).await.expect("create");
    assert!(anew.changed(), "its name is free");
    assert_eq!(backend.tasks.pages(task.id).await.expect("pages"), []);
}
