//! Whose a page is that was meant for a canary which has been rolled back. One document never mixes versions: where the
//! canary has read a page of it, it reads the others, too.

use std::time::Duration;

use quire_tasks::{Page, PageStatus, UnixMillis};

/// Who reads the pages of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The canary, which has begun it.
    Canary,
    /// Those who read what no canary is meant for.
    Stable,
    /// Nobody can say before this time is over.
    Unknown(Duration),
}

/// Whose a document is, by the pages of its task. Every worker comes to the same answer at any time: what was with the
/// canary when it was rolled back has ended after `settled`, and what ends later is no longer the canary's.
pub(crate) fn whose(
    pages: &[Page],
    document: u32,
    rolled_back_at: UnixMillis,
    settled: Duration,
    now: UnixMillis,
) -> Whose {
    let until = rolled_back_at.0 + settled.as_millis() as i64;
    let mut own = pages.iter().filter(|page| page.page.document == document);
    let begun = |page: &Page| page.status != PageStatus::Queued && page.ended_at.is_some_and(|at| at.0 <= until);
    if own.clone().any(begun) {
        Whose::Canary
    } else if now.0 > until || own.nth(1).is_none() {
        Whose::Stable
    } else {
        Whose::Unknown(Duration::from_millis((until - now.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{PageRef, TaskId};

    use super::*;

    const SETTLED: Duration = Duration::from_millis(100);

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

    fn at(now: i64, pages: &[Page]) -> Whose {
        whose(pages, 1, UnixMillis(1000), SETTLED, UnixMillis(now))
    }

    #[test]
    fn a_document_that_the_canary_has_begun_stays_with_it() {
        for ended_at in [500, 1050, 1100] {
            let pages = [page(1, 1, Some(ended_at)), page(1, 2, None)];
            assert_eq!((at(1060, &pages), at(9999, &pages)), (Whose::Canary, Whose::Canary));
        }
    }

    #[test]
    fn one_that_it_has_not_begun_is_read_by_others_once_that_is_sure() {
        let pages = [page(1, 1, None), page(1, 2, None), page(2, 1, Some(500))];
        assert_eq!(at(1060, &pages), Whose::Unknown(Duration::from_millis(40)));
        assert_eq!(at(1101, &pages), Whose::Stable);
        assert_eq!(at(1200, &[page(1, 1, Some(1150)), page(1, 2, None)]), Whose::Stable, "the others have begun it");
    }

    #[test]
    fn a_single_page_mixes_with_nothing() {
        assert_eq!(at(1001, &[page(1, 1, None), page(2, 1, Some(500))]), Whose::Stable);
    }
}
