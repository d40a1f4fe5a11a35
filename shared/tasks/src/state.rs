//! The states of pages, tasks and callbacks.

use serde::{Deserialize, Serialize};

/// The status of a page. Every status except `Queued` is final within a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageStatus {
    /// Waits for a worker, or is being read.
    Queued,
    /// Read.
    Succeeded,
    /// Could not be read; its failure has the reason.
    Failed,
    /// Canceled by the customer.
    Canceled,
}

/// The status of a task: a function of its [`Counts`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// No page has ended.
    Queued,
    /// Some pages have ended.
    Processing,
    /// Every page was read.
    Succeeded,
    /// Some pages were read, others failed.
    PartiallySucceeded,
    /// No page was read successfully.
    Failed,
    /// Canceled before all pages had ended.
    Canceled,
}

impl TaskStatus {
    /// Returns whether the status is final.
    pub const fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }

    /// Returns the name as it is written in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::PartiallySucceeded => "partially_succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// Number of a task's pages by status. The page count of a document is unknown until it is split: before, it counts
/// as one open page, and if it cannot be split, as one failed page.
///
/// ```
/// use quire_tasks::{Counts, PageStatus, TaskStatus};
///
/// let counts = Counts::default().add(2, PageStatus::Queued);
/// assert_eq!(counts.status(), TaskStatus::Queued);
///
/// let counts = counts.close(1, PageStatus::Succeeded);
/// assert_eq!(counts.status(), TaskStatus::Processing);
///
/// let counts = counts.close(1, PageStatus::Failed);
/// assert_eq!(counts.status(), TaskStatus::PartiallySucceeded);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counts {
    /// Waiting or being read.
    pub open: u32,
    /// Read successfully.
    pub succeeded: u32,
    /// Failed.
    pub failed: u32,
    /// Canceled.
    pub canceled: u32,
}

impl Counts {
    /// Returns the number of all pages.
    pub const fn total(self) -> u32 {
        self.open + self.ended()
    }

    /// Returns the number of pages that have ended.
    pub const fn ended(self) -> u32 {
        self.succeeded + self.failed + self.canceled
    }

    /// Returns the task's status.
    pub const fn status(self) -> TaskStatus {
        match self {
            Self { open: 1.., .. } if self.ended() == 0 => TaskStatus::Queued,
            Self { open: 1.., .. } => TaskStatus::Processing,
            Self { canceled: 1.., .. } => TaskStatus::Canceled,
            Self { failed: 0, .. } => TaskStatus::Succeeded,
            Self { succeeded: 0, .. } => TaskStatus::Failed,
            _ => TaskStatus::PartiallySucceeded,
        }
    }

    /// Moves `pages` open pages to `status`.
    ///
    /// # Panics
    /// If fewer pages are open: a page would end twice.
    #[must_use]
    pub fn close(self, pages: u32, status: PageStatus) -> Self {
        let mut next = self;
        next.open = self.open.checked_sub(pages).expect("only an open page ends");
        *next.count_mut(status) += pages;
        next
    }

    /// Adds `pages` pages with `status`.
    #[must_use]
    pub fn add(mut self, pages: u32, status: PageStatus) -> Self {
        *self.count_mut(status) += pages;
        self
    }

    /// Moves `pages` ended pages from the status `from` back to open: the only transition out of a final status. It
    /// starts a new round.
    ///
    /// # Panics
    /// If fewer pages have this status.
    #[must_use]
    pub fn reopen(self, pages: u32, from: PageStatus) -> Self {
        let mut next = self;
        let ended = next.count_mut(from);
        *ended = ended.checked_sub(pages).expect("only an ended page is reopened");
        next.open += pages;
        next
    }

    fn count_mut(&mut self, status: PageStatus) -> &mut u32 {
        match status {
            PageStatus::Queued => &mut self.open,
            PageStatus::Succeeded => &mut self.succeeded,
            PageStatus::Failed => &mut self.failed,
            PageStatus::Canceled => &mut self.canceled,
        }
    }
}

/// The state of a task's callback. It is independent of the task's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// The customer requested no callback.
    None,
    /// Not attempted yet: the task is open, or has just ended.
    Pending,
    /// The last attempt failed; it is retried.
    Retrying,
    /// Accepted by the receiver.
    Delivered,
    /// All attempts failed; its message is in the dead-letter queue.
    Exhausted,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ending() -> impl Strategy<Value = PageStatus> {
        prop_oneof![Just(PageStatus::Succeeded), Just(PageStatus::Failed), Just(PageStatus::Canceled)]
    }

    proptest! {
        #[test]
        fn a_task_ends_when_its_last_page_does_and_not_before(endings in prop::collection::vec(ending(), 1..50)) {
            let pages = endings.len() as u32;
            let mut counts = Counts::default().add(pages, PageStatus::Queued);
            prop_assert_eq!(counts.status(), TaskStatus::Queued);
            for (done, ending) in endings.iter().enumerate() {
                prop_assert_eq!(counts.status().ended(), false);
                prop_assert_eq!(counts.status() == TaskStatus::Queued, done == 0);
                counts = counts.close(1, *ending);
                prop_assert_eq!(counts.total(), pages);
            }
            prop_assert!(counts.status().ended());
            let all = |status| endings.iter().all(|e| *e == status);
            prop_assert_eq!(counts.status() == TaskStatus::Succeeded, all(PageStatus::Succeeded));
            prop_assert_eq!(counts.status() == TaskStatus::Failed, all(PageStatus::Failed));
            prop_assert_eq!(counts.status() == TaskStatus::Canceled, endings.contains(&PageStatus::Canceled));
        }

        #[test]
        fn the_order_in_which_pages_end_does_not_matter(mut endings in prop::collection::vec(ending(), 1..20)) {
            let run = |endings: &[PageStatus]| {
                let start = Counts::default().add(endings.len() as u32, PageStatus::Queued);
                endings.iter().fold(start, |counts, ending| counts.close(1, *ending)).status()
            };
            let forward = run(&endings);
            endings.reverse();
            prop_assert_eq!(forward, run(&endings));
        }
    }

    #[test]
    fn reopening_pages_returns_a_task_to_processing() {
        let ended = Counts { open: 0, succeeded: 2, failed: 3, canceled: 2 };
        for from in [PageStatus::Succeeded, PageStatus::Failed, PageStatus::Canceled] {
            let opened = ended.reopen(2, from);
            assert_eq!((opened.status(), opened.open, opened.total()), (TaskStatus::Processing, 2, 7));
            assert_eq!(opened.close(2, from), ended);
        }
    }

    #[test]
    #[should_panic(expected = "only an ended page is reopened")]
    fn no_more_pages_are_reopened_than_have_ended() {
        let _ = Counts { failed: 1, succeeded: 5, ..Counts::default() }.reopen(2, PageStatus::Failed);
    }

    #[test]
    #[should_panic(expected = "only an open page ends")]
    fn a_page_does_not_end_twice() {
        let _ = Counts::default().add(1, PageStatus::Queued).close(1, PageStatus::Failed).close(1, PageStatus::Failed);
    }
}
