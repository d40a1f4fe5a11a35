//! How very many pages are opened at once: by one write of their task.
//!
//! A transaction takes a hundred items, and a task may have thousands of pages. So a round that opens all that were not
//! read, or all there are, is noted in the task alone, and whoever reads a page reads it through that note. Where many
//! pages are opened by their names, each is given the opening's token first, which counts for nothing until the task
//! knows it: whoever dies in the middle has changed nothing.

use quire_tasks::{Page, PageStatus, transitions};
use serde::{Deserialize, Serialize};

/// The openings of a task's pages that are not in their items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// The last round that began by opening all that were not read, or all there are; 0 for none.
    #[serde(default)]
    unread: u32,
    /// The last that opened those that were read, too.
    #[serde(default)]
    read: u32,
    /// The tokens of later openings by name.
    #[serde(default)]
    tokens: Vec<u64>,
}

/// What an opening by name has put on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) token: u64,
    /// The round in which the page is to wait.
    pub(crate) round: u32,
}

impl Opened {
    /// Whether a page's item says all there is to say.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Opens all pages for this round.
    pub(crate) fn all(&mut self, round: u32, with_read: bool) {
        self.unread = round;
        if with_read {
            self.read = round;
        }
        // What they had opened is either read by now, or opened by this.
        self.tokens.clear();
    }

    /// Opens the pages with this token.
    pub(crate) fn those(&mut self, token: u64) {
        self.tokens.push(token);
    }

    /// A page as it is.
    pub(crate) fn see(&self, page: Page, token: Option<Token>) -> Page {
        let page = match token.filter(|token| self.tokens.contains(&token.token)) {
            Some(Token { round, .. }) => transitions::queued_page(page.page, round),
            None => page,
        };
        let opened = if page.status == PageStatus::Succeeded { self.read } else { self.unread };
        // One that was read and then opened was not read since: later rounds opened it anew.
        if page.round < opened { transitions::queued_page(page.page, self.unread) } else { page }
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

    fn seen(opened: &Opened, status: PageStatus, round: u32) -> (PageStatus, u32) {
        let page = opened.see(page(status, round), None);
        (page.status, page.round)
    }

    #[test]
    fn a_round_for_what_was_not_read_opens_failed_and_canceled_pages_of_earlier_rounds() {
        use PageStatus::{Failed, Queued, Succeeded};
        let mut opened = Opened::default();
        assert_eq!(seen(&opened, Failed, 1), (Failed, 1));
        opened.all(3, false);
        assert_eq!(seen(&opened, Failed, 1), (Queued, 3));
        assert_eq!(seen(&opened, Queued, 2), (Queued, 3));
        assert_eq!(seen(&opened, Failed, 3), (Failed, 3), "in that round it failed again");
        assert_eq!(seen(&opened, Succeeded, 1), (Succeeded, 1));
    }

    #[test]
    fn a_round_for_all_opens_read_pages_and_a_later_one_those_of_them_that_were_not_read_again() {
        use PageStatus::{Queued, Succeeded};
        let mut opened = Opened::default();
        opened.all(2, true);
        assert_eq!(seen(&opened, Succeeded, 1), (Queued, 2));
        assert_eq!(seen(&opened, Succeeded, 2), (Succeeded, 2));
        opened.all(4, false);
        assert_eq!(seen(&opened, Succeeded, 1), (Queued, 4));
        assert_eq!(seen(&opened, Succeeded, 3), (Succeeded, 3));
    }

    #[test]
    fn a_token_counts_once_the_task_knows_it_and_until_the_page_says_otherwise() {
        use PageStatus::{Failed, Queued};
        let token = Some(Token { token: 7, round: 2 });
        let mut opened = Opened::default();
        assert_eq!(opened.see(page(Failed, 1), token), page(Failed, 1));
        opened.those(7);
        assert!(!opened.is_nothing());
        assert_eq!(opened.see(page(Failed, 1), token), page(Queued, 2));
        opened.all(3, false);
        assert_eq!(opened.see(page(Failed, 1), token), page(Queued, 3));
    }
}
