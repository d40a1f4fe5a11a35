//! The cancellation check: whether a received page still has to be read.
//!
//! Nearly every page that is received for the first time has to be read, and checking each would cost a read of the
//! task table. So the first page of a task is not checked, and of the following pages one per second is, for all of
//! them: tasks of one page cost nothing, and of a canceled task at most a second's pages are read, which changes
//! nothing. Only a positive result is cached; a negative one is checked each time, since it is acted upon.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_platform::{Backend, Error, Result, now, retry_with_backoff};
use quire_tasks::{PageMessage, PageStatus, Task, TaskId};

/// How long an open task is assumed to stay open.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// The cache is cleared when it has this many tasks.
const MAX_CACHED_TASKS: usize = 10_000;

/// The result of a check.
#[derive(Debug)]
pub(crate) enum CancellationStatus {
    /// The page has to be read.
    Open,
    /// The page has ended, or its task or round has.
    Ended(Box<Task>),
    /// The task is deleted or expired.
    Deleted,
}

/// Checks pages against the task table, and caches open tasks.
#[derive(Debug)]
pub(crate) struct CancellationCheck {
    backend: Backend,
    /// When each task was last checked, or its first page received; `None` if it was not open then.
    last_checks: Mutex<HashMap<TaskId, Option<Instant>>>,
}

impl CancellationCheck {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, last_checks: Mutex::default() }
    }

    /// Returns whether a page with this receive count still has to be read.
    ///
    /// # Errors
    /// Any error of the backend, after retries.
    pub(crate) async fn check(&self, message: &PageMessage, attempt: u32) -> Result<CancellationStatus> {
        if attempt > 1 {
            return self.check_page(message).await;
        }
        if self.is_cached_open(message.page.task_id, Instant::now()) {
            return Ok(CancellationStatus::Open);
        }
        let status = self.check_task(message).await;
        if !matches!(status, Ok(CancellationStatus::Open)) {
            self.lock().insert(message.page.task_id, None);
        }
        status
    }

    /// Checks a page that was received before: an earlier receive may have ended it.
    async fn check_page(&self, message: &PageMessage) -> Result<CancellationStatus> {
        let status = self.check_task(message).await?;
        if !matches!(status, CancellationStatus::Open) {
            return Ok(status);
        }
        match retry_with_backoff(|| self.backend.tasks.page(message.page)).await {
            Ok(page) if page.status == PageStatus::Queued => Ok(CancellationStatus::Open),
            Ok(_) => {
                let task = retry_with_backoff(|| self.backend.tasks.task(message.page.task_id)).await?;
                Ok(CancellationStatus::Ended(Box::new(task)))
            }
            Err(Error::NotFound { .. }) => Ok(CancellationStatus::Deleted),
            Err(error) => Err(error),
        }
    }

    async fn check_task(&self, message: &PageMessage) -> Result<CancellationStatus> {
        let task = match retry_with_backoff(|| self.backend.tasks.task(message.page.task_id)).await {
            Err(Error::NotFound { .. }) => return Ok(CancellationStatus::Deleted),
            task => task?,
        };
        if task.expired(now()) {
            return Ok(CancellationStatus::Deleted);
        }
        // A round that has ended is final; a message of a later round is not affected by it.
        let has_ended = task.round > message.round || (task.round == message.round && task.status().ended());
        Ok(if has_ended { CancellationStatus::Ended(Box::new(task)) } else { CancellationStatus::Open })
    }

    /// Returns whether the task is assumed to be open without a check. If not, it is assumed to be for a while from
    /// now: one page checks for all.
    fn is_cached_open(&self, task: TaskId, now: Instant) -> bool {
        let mut last_checks = self.lock();
        if last_checks.len() >= MAX_CACHED_TASKS {
            last_checks.clear();
        }
        let is_open = match last_checks.get(&task) {
            Some(Some(before)) if now.duration_since(*before) < CACHE_TTL => return true,
            Some(_) => false,
            None => true,
        };
        last_checks.insert(task, Some(now));
        is_open
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Option<Instant>>> {
        self.last_checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quire_platform_embedded::Embedded;
    use quire_tasks::{PageRef, ReadAs};

    use super::*;

    fn check() -> (CancellationCheck, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let backend = Embedded::open(dir.path(), "test").expect("the backend opens").backend();
        (CancellationCheck::new(backend), dir)
    }

    #[tokio::test]
    async fn the_first_page_of_a_task_is_not_checked_and_then_one_page_per_second_is() {
        let (check, _dir) = check();
        let task = TaskId::derive_from(&["a"]);
        let other = TaskId::derive_from(&["b"]);
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let checked: Vec<bool> =
            [0, 1, 999, 1_000, 1_001, 2_500].iter().map(|at| !check.is_cached_open(task, after(*at))).collect();
        assert_eq!(checked, [false, false, false, true, false, true]);
        assert!(check.is_cached_open(other, after(2_500)), "each task on its own");
    }

    #[tokio::test]
    async fn a_page_of_a_deleted_task_is_reported_and_the_next_one_is_checked_again() {
        let (check, _dir) = check();
        let page = PageRef { task_id: TaskId::derive_from(&["a"]), document: 1, page: 1 };
        let message = PageMessage { page, round: 1, read_as: ReadAs::default(), redact: None };
        assert!(matches!(check.check(&message, 1).await, Ok(CancellationStatus::Open)), "not checked");
        assert!(matches!(check.check(&message, 2).await, Ok(CancellationStatus::Deleted)), "a retry is checked");
        check.lock().insert(page.task_id, None);
        for _ in 0..2 {
            assert!(matches!(check.check(&message, 1).await, Ok(CancellationStatus::Deleted)));
        }
    }
}
