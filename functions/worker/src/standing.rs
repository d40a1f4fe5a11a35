//! Whether anybody still waits for a page.
//!
//! A page that is received for the first time is nearly always to be read, and asking would cost each a read of the table. So
//! the first page of a task that a worker takes up is read unasked, and of the next ones one a second asks for all: a
//! canceled task's many pages are not read in vain, tasks of one page cost nothing, and the one that is read in vain changes
//! nothing. Only that a task goes on is remembered; that it does not is looked up each time, for it is acted upon.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quire_platform::{Backend, Error, Result, retry_with_backoff};
use quire_tasks::{PageMessage, PageStatus, Task, TaskId};

use crate::board::now;

/// So long a task is taken to go on that did.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Of so many tasks.
const MOST_REMEMBERED: usize = 10_000;

/// How a page stands that was received.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It is to be read.
    Open,
    /// It has ended, or its task has without it.
    Over(Box<Task>),
    /// There is no such task any more.
    Gone,
}

/// What is known of tasks.
#[derive(Debug)]
pub(crate) struct Standings {
    backend: Backend,
    /// When a task was last taken up or asked about; never again unasked where it did not go on.
    asked: Mutex<HashMap<TaskId, Option<Instant>>>,
}

impl Standings {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, asked: Mutex::default() }
    }

    /// How a page stands that was taken up `attempt` times.
    ///
    /// # Errors
    /// Of the backend, after waiting them out in vain.
    pub(crate) async fn of(&self, message: &PageMessage, attempt: u32) -> Result<Standing> {
        if attempt > 1 {
            return self.of_repeated(message).await;
        }
        if self.goes_on(message.page.task_id, Instant::now()) {
            return Ok(Standing::Open);
        }
        let standing = self.of_task(message).await;
        if !matches!(standing, Ok(Standing::Open)) {
            self.asked().insert(message.page.task_id, None);
        }
        standing
    }

    /// Whoever had it before may have ended it.
    async fn of_repeated(&self, message: &PageMessage) -> Result<Standing> {
        let standing = self.of_task(message).await?;
        if !matches!(standing, Standing::Open) {
            return Ok(standing);
        }
        match retry_with_backoff(|| self.backend.tasks.page(message.page)).await {
            Ok(page) if page.status == PageStatus::Queued => Ok(Standing::Open),
            Ok(_) => Ok(Standing::Over(Box::new(
                retry_with_backoff(|| self.backend.tasks.task(message.page.task_id)).await?,
            ))),
            Err(Error::NotFound { .. }) => Ok(Standing::Gone),
            Err(error) => Err(error),
        }
    }

    async fn of_task(&self, message: &PageMessage) -> Result<Standing> {
        let task = match retry_with_backoff(|| self.backend.tasks.task(message.page.task_id)).await {
            Err(Error::NotFound { .. }) => return Ok(Standing::Gone),
            task => task?,
        };
        if task.expired(now()) {
            return Ok(Standing::Gone);
        }
        // A round that is over is over for good; what was sent for a later one is not meant.
        let over = task.round > message.round || (task.round == message.round && task.status().ended());
        Ok(if over { Standing::Over(Box::new(task)) } else { Standing::Open })
    }

    /// Whether the task is taken to go on, unasked. If not, the next ones do not ask for a while.
    fn goes_on(&self, task: TaskId, now: Instant) -> bool {
        let mut asked = self.asked();
        if asked.len() >= MOST_REMEMBERED {
            asked.clear();
        }
        match asked.get(&task) {
            Some(Some(before)) if now.duration_since(*before) < REMEMBERED => true,
            Some(_) => {
                asked.insert(task, Some(now));
                false
            }
            None => {
                asked.insert(task, Some(now));
                true
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<TaskId, Option<Instant>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quire_platform_embedded::Embedded;

    use super::*;

    #[tokio::test]
    async fn the_first_page_of_a_task_is_taken_unasked_and_then_one_a_second_asks() {
        let dir = tempfile::tempdir().expect("a folder");
        let standings = Standings::new(Embedded::open(dir.path(), "test").expect("open the backend").backend());
        let (task, other, start) = (TaskId::derive_from(&["a"]), TaskId::derive_from(&["b"]), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        let asked: Vec<bool> =
            [0, 1, 999, 1_000, 1_001, 2_500].iter().map(|at| !standings.goes_on(task, after(*at))).collect();
        assert_eq!(asked, [false, false, false, true, false, true]);
        assert!(standings.goes_on(other, after(2_500)), "each task by itself");
    }

    #[tokio::test]
    async fn a_page_of_no_task_is_gone_and_the_next_one_asks_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let standings = Standings::new(Embedded::open(dir.path(), "test").expect("open the backend").backend());
        let page = quire_tasks::PageRef { task_id: TaskId::derive_from(&["a"]), document: 1, page: 1 };
        let message = PageMessage { page, round: 1, read_as: quire_tasks::ReadAs::default(), redact: None };
        assert!(matches!(standings.of(&message, 1).await, Ok(Standing::Open)), "nobody has asked");
        assert!(matches!(standings.of(&message, 2).await, Ok(Standing::Gone)), "a repeated one asks");
        standings.asked().insert(page.task_id, None);
        for _ in 0..2 {
            assert!(matches!(standings.of(&message, 1).await, Ok(Standing::Gone)));
        }
    }
}
