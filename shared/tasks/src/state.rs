//! The states of pages, tasks and callbacks.

use serde::{Deserialize, Serialize};

/// How far a page is. Everything but `Queued` is final within a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageStatus {
    /// Waiting for a worker, or with one.
    Queued,
    /// Read.
    Succeeded,
    /// Could not be read; its failure says why.
    Failed,
    /// The customer no longer wants it.
    Canceled,
}

/// How far a task is: a function of its [`Counts`] and of nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// No page has ended yet.
    Queued,
    /// Some pages have ended, others have not.
    Processing,
    /// Every page was read.
    Succeeded,
    /// Some pages were read, others failed.
    PartiallySucceeded,
    /// No page was read.
    Failed,
    /// Canceled before every page had ended.
    Canceled,
}

impl TaskStatus {
    /// Whether it is final.
    pub const fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }

    /// As it is written in answers.
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

/// How many pages of a task are how far. A document that is not split yet counts as one open page, and one that could
/// not be split as one failed page: how many pages it would have had, nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counts {
    /// Waiting or being read.
    pub open: u32,
    /// Read.
    pub succeeded: u32,
    /// Failed.
    pub failed: u32,
    /// Canceled.
    pub canceled: u32,
}

impl Counts {
    /// How many there are in all.
    pub const fn total(self) -> u32 {
        self.open + self.ended()
    }

    /// How many have ended.
    pub const fn ended(self) -> u32 {
        self.succeeded + self.failed + self.canceled
    }

    /// The task's status.
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

    /// With `pages` open pages that ended as `status`.
    ///
    /// # Panics
    /// When fewer are open: a page would have ended twice.
    #[must_use]
    pub fn close(self, pages: u32, status: PageStatus) -> Self {
        let mut next = self;
        next.open = self.open.checked_sub(pages).expect("only an open page ends");
        *next.count_mut(status) += pages;
        next
    }

    /// With `pages` pages more that are `status`.
    #[must_use]
    pub fn add(mut self, pages: u32, status: PageStatus) -> Self {
        *self.count_mut(status) += pages;
        self
    }

    /// With `pages` pages that ended as `from` open again: the one way out of a final state, taken by an operator or the
    /// customer, and the start of a new round.
    ///
    /// # Panics
    /// When fewer have ended so.
    #[must_use]
    pub fn reopen(self, pages: u32, from: PageStatus) -> Self {
        let mut next = self;
        let ended = next.count_mut(from);
        *ended = ended.checked_sub(pages).expect("only an ended page is opened again");
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

/// How far a task's callback is. It stands beside the task's status and never changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// None was asked for.
    None,
    /// Owed, but not yet tried: the task is still open, or has just ended.
    Pending,
    /// Tried in vain, and to be tried again.
    Retrying,
    /// Taken by the receiver.
    Delivered,
    /// Given up: it lies with the dead letters.
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
    fn reopening_ended_pages_makes_a_task_go_on() {
        let ended = Counts { open: 0, succeeded: 2, failed: 3, canceled: 2 };
        for from in [PageStatus::Succeeded, PageStatus::Failed, PageStatus::Canceled] {
            let opened = ended.reopen(2, from);
            assert_eq!((opened.status(), opened.open, opened.total()), (TaskStatus::Processing, 2, 7));
            assert_eq!(opened.close(2, from), ended);
        }
    }

    #[test]
    #[should_panic(expected = "only an ended page is opened again")]
    fn no_more_pages_are_opened_than_have_ended() {
        let _ = Counts { failed: 1, succeeded: 5, ..Counts::default() }.reopen(2, PageStatus::Failed);
    }

    #[test]
    #[should_panic(expected = "only an open page ends")]
    fn a_page_does_not_end_twice() {
        let _ = Counts::default().add(1, PageStatus::Queued).close(1, PageStatus::Failed).close(1, PageStatus::Failed);
    }
}
