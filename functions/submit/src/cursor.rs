//! Where a list goes on. To clients a cursor is opaque: what is in it may change from one release to the next.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use quire_platform::TaskCursor;
use quire_tasks::{PageRef, Task, UnixMillis};

use crate::problem::Problem;

/// A place in the list of tasks, as it is given out.
pub(crate) fn of_listed(place: &TaskCursor) -> String {
    encode(&format!("t.{}.{}", place.created_at.0, place.id))
}

/// The opposite of [`of_listed`].
pub(crate) fn listed(cursor: &str) -> Result<TaskCursor, Problem> {
    read_listed(cursor).ok_or_else(wrong)
}

fn read_listed(cursor: &str) -> Option<TaskCursor> {
    let text = decode(cursor)?;
    let (created_at, id) = text.strip_prefix("t.")?.split_once('.')?;
    let place = TaskCursor { created_at: UnixMillis(created_at.parse().ok()?), id: id.parse().ok()? };
    (of_listed(&place) == cursor).then_some(place)
}

/// Behind this page, in the list of its task's pages.
pub(crate) fn of_page(page: PageRef) -> String {
    encode(&format!("p.{}.{}", page.document, page.page))
}

/// The opposite of [`of_page`], for the task that the list is of.
pub(crate) fn page(of: &Task, cursor: &str) -> Result<PageRef, Problem> {
    read_page(of, cursor).ok_or_else(wrong)
}

fn read_page(of: &Task, cursor: &str) -> Option<PageRef> {
    let text = decode(cursor)?;
    let (document, page) = text.strip_prefix("p.")?.split_once('.')?;
    let page = PageRef { task_id: of.id, document: document.parse().ok()?, page: page.parse().ok()? };
    (of_page(page) == cursor).then_some(page)
}

/// A place as it is given out.
pub(crate) fn encode(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// The opposite of [`encode`]; none for what is no text in base64url.
pub(crate) fn decode(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// The problem of a cursor that was never given out.
pub(crate) fn wrong() -> Problem {
    Problem::invalid_field("cursor", "This is no cursor that this list has given out.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quire_tasks::{TaskId, Tenant};

    use super::*;

    fn a_task(name: &str) -> Task {
        Task::new(TaskId::derive_from(&[name]), Tenant::default(), UnixMillis(7), Vec::new(), None)
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(name in ".*", created_at: i64, document: u32, page: u32) {
            let of = a_task(&name);
            let place = TaskCursor { created_at: UnixMillis(created_at), id: of.id };
            prop_assert_eq!(read_listed(&of_listed(&place)), Some(place));
            let place = PageRef { task_id: of.id, document, page };
            prop_assert_eq!(read_page(&of, &of_page(place)), Some(place));
        }

        #[test]
        fn what_never_was_given_out_is_no_cursor(text in ".*", raw in ".*") {
            let of = a_task("a task");
            for cursor in [text, encode(&raw), encode(&format!("t.{raw}")), encode(&format!("p.{raw}"))] {
                prop_assert!(read_listed(&cursor).is_none_or(|place| of_listed(&place) == cursor));
                prop_assert!(read_page(&of, &cursor).is_none_or(|place| of_page(place) == cursor));
            }
        }
    }

    #[test]
    fn a_cursor_of_one_list_is_none_of_another() {
        let of = a_task("a task");
        let (listed, page) = (TaskCursor::at(&of), PageRef { task_id: of.id, document: 1, page: 2 });
        assert!(read_page(&of, &of_listed(&listed)).is_none() && read_listed(&of_page(page)).is_none());
        for other in ["", "!", &encode("t.07.x"), &encode(&format!("t.+7.{}", of.id)), &encode("p.01.2")] {
            assert!(read_listed(other).is_none() && read_page(&of, other).is_none(), "{other}");
        }
    }
}
