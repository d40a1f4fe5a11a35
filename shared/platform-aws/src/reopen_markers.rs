//! Markers that reopen any number of pages by one write of their task.
//!
//! A transaction is limited to 100 items, but a task may have thousands of pages. A round that reopens all pages, or
//! all that did not succeed, is therefore stored in the task only, and a page's status is computed from its item and
//! that marker. If many single pages are reopened, each item first gets a token, which takes effect when the task lists
//! it: a crash in between changes nothing.

use quire_tasks::{Page, PageStatus, transitions};
use serde::{Deserialize, Serialize};

/// The reopenings that are not stored in the items of the pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReopenMarkers {
    /// The last round that started by reopening all pages that did not succeed, or all pages. Default: 0, none.
    #[serde(default)]
    unread: u32,
    /// The last round that started by reopening all pages.
    #[serde(default)]
    read: u32,
    /// The tokens of later reopenings of single pages.
    #[serde(default)]
    tokens: Vec<u64>,
}

/// The marker on a reopened page's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReopenToken {
    pub(crate) token: u64,
    /// The round in which the page is queued.
    pub(crate) round: u32,
}

impl ReopenMarkers {
    /// Returns whether the items of the pages are up to date.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reopens all pages in this round.
    pub(crate) fn reopen_all(&mut self, round: u32, with_read: bool) {
        self.unread = round;
        if with_read {
            self.read = round;
        }
        // Pages reopened by tokens have ended since, or are reopened by this round.
        self.tokens.clear();
    }

    /// Reopens the pages with this token.
    pub(crate) fn add_token(&mut self, token: u64) {
        self.tokens.push(token);
    }

    /// Returns a page's current state.
    pub(crate) fn apply(&self, page: Page, token: Option<ReopenToken>) -> Page {
        let page = match token.filter(|token| self.tokens.contains(&token.token)) {
            Some(ReopenToken { round, .. }) => transitions::queued_page(page.page, round),
            None => page,
        };
        let markers = if page.status == PageStatus::Succeeded { self.read } else { self.unread };
        // A page that succeeded and was then reopened has not succeeded since, so later rounds for unread pages reopen
        // it, too.
        if page.round < markers { transitions::queued_page(page.page, self.unread) } else { page }
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{PageRef, TaskId};

    use super::*;

    fn page(status: PageStatus, round: u32) -> Page {
        let page = PageRef { task_id: TaskId::derive_from(&["a task"]), document: 1, page: 1 };
        Page { status, ..transitions::queued_page(page, round) }
    }

    fn seen(markers: &ReopenMarkers, status: PageStatus, round: u32) -> (PageStatus, u32) {
        let page = markers.apply(page(status, round), None);
        (page.status, page.round)
    }

    #[test]
    fn reopening_unread_pages_queues_failed_and_canceled_pages_of_earlier_rounds() {
        use PageStatus::{Failed, Queued, Succeeded};
        let mut markers = ReopenMarkers::default();
        assert_eq!(seen(&markers, Failed, 1), (Failed, 1));
        markers.reopen_all(3, false);
        assert_eq!(seen(&markers, Failed, 1), (Queued, 3));
        assert_eq!(seen(&markers, Queued, 2), (Queued, 3));
        assert_eq!(seen(&markers, Failed, 3), (Failed, 3), "in that round it failed again");
        assert_eq!(seen(&markers, Succeeded, 1), (Succeeded, 1));
    }

    #[test]
    fn reopening_all_pages_queues_pages_that_succeeded() {
        use PageStatus::{Queued, Succeeded};
        let mut markers = ReopenMarkers::default();
        markers.reopen_all(2, true);
        assert_eq!(seen(&markers, Succeeded, 1), (Queued, 2));
        assert_eq!(seen(&markers, Succeeded, 2), (Succeeded, 2));
        markers.reopen_all(4, false);
        assert_eq!(seen(&markers, Succeeded, 1), (Queued, 4));
        assert_eq!(seen(&markers, Succeeded, 3), (Succeeded, 3));
    }

    #[test]
    fn a_token_takes_effect_when_the_task_lists_it() {
        use PageStatus::{Failed, Queued};
        let token = Some(ReopenToken { token: 7, round: 2 });
        let mut markers = ReopenMarkers::default();
        assert_eq!(markers.apply(page(Failed, 1), token), page(Failed, 1));
        markers.add_token(7);
        assert!(!markers.is_empty());
        assert_eq!(markers.apply(page(Failed, 1), token), page(Queued, 2));
        markers.reopen_all(3, false);
        assert_eq!(markers.apply(page(Failed, 1), token), page(Queued, 3));
    }
}
