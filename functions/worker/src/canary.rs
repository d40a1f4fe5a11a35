//! Which engine reads the pages of a canary that has been rolled back. A document never mixes engine versions: if the
//! canary has read one page of it, it reads the others, too.

use std::time::Duration;

use quire_tasks::{Page, PageStatus, UnixMillis};

/// Which engine reads the pages of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentOwner {
    /// The canary, which has read a page of it.
    Canary,
    /// The route's other engines.
    Stable,
    /// Not decided before this time has passed.
    Undecided(Duration),
}

/// Decides which engine reads a document, by the pages of its task. All workers come to the same decision at any time:
/// pages that the canary held when it was rolled back have ended after `grace_period`, and a page that ends later was
/// not read by the canary.
pub(crate) fn document_owner(
    pages: &[Page],
    document: u32,
    rolled_back_at: UnixMillis,
    grace_period: Duration,
    now: UnixMillis,
) -> DocumentOwner {
    let decided_at = rolled_back_at.0 + grace_period.as_millis() as i64;
    let own_pages: Vec<&Page> = pages.iter().filter(|page| page.page.document == document).collect();
    let ended_in_time = |page: &&Page| {
        page.status != PageStatus::Queued && page.ended_at.is_some_and(|ended_at| ended_at.0 <= decided_at)
    };
    if own_pages.iter().any(ended_in_time) {
        DocumentOwner::Canary
    } else if now.0 > decided_at || own_pages.len() < 2 {
        DocumentOwner::Stable
    } else {
        DocumentOwner::Undecided(Duration::from_millis((decided_at - now.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{PageRef, TaskId};

    use super::*;

    const GRACE_PERIOD: Duration = Duration::from_millis(100);

    fn page(document: u32, page: u32, ended_at: Option<i64>) -> Page {
        Page {
            page: PageRef { task_id: TaskId::derive_from(&["a"]), document, page },
            status: if ended_at.is_some() { PageStatus::Succeeded } else { PageStatus::Queued },
            round: 1,
            failure: None,
            confidence: None,
            ended_at: ended_at.map(UnixMillis),
            needs_review: false,
        }
    }

    fn owner_at(now: i64, pages: &[Page]) -> DocumentOwner {
        document_owner(pages, 1, UnixMillis(1000), GRACE_PERIOD, UnixMillis(now))
    }

    #[test]
    fn a_document_that_the_canary_has_begun_stays_with_it() {
        for ended_at in [500, 1050, 1100] {
            let pages = [page(1, 1, Some(ended_at)), page(1, 2, None)];
            assert_eq!(owner_at(1060, &pages), DocumentOwner::Canary);
            assert_eq!(owner_at(9999, &pages), DocumentOwner::Canary);
        }
    }

    #[test]
    fn a_document_that_it_has_not_begun_is_read_by_others_after_the_grace_period() {
        let pages = [page(1, 1, None), page(1, 2, None), page(2, 1, Some(500))];
        assert_eq!(owner_at(1060, &pages), DocumentOwner::Undecided(Duration::from_millis(40)));
        assert_eq!(owner_at(1101, &pages), DocumentOwner::Stable);
        let begun_later = [page(1, 1, Some(1150)), page(1, 2, None)];
        assert_eq!(owner_at(1200, &begun_later), DocumentOwner::Stable, "another engine has begun it");
    }

    #[test]
    fn a_document_of_one_page_is_decided_at_once() {
        assert_eq!(owner_at(1001, &[page(1, 1, None), page(2, 1, Some(500))]), DocumentOwner::Stable);
    }
}
