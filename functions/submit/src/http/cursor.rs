//! Pagination cursors. They are opaque to clients: their content may change with any release.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use quire_platform::TaskCursor;
use quire_tasks::{PageRef, Task, UnixMillis};

use crate::http::problem::Problem;

/// Encodes a position in the list of tasks.
pub(crate) fn encode_listed(place: &TaskCursor) -> String {
    encode(&format!("t.{}.{}", place.created_at.0, place.id))
}

/// Decodes a position in the list of tasks.
pub(crate) fn parse_listed(cursor: &str) -> Result<TaskCursor, Problem> {
    decode_listed(cursor).ok_or_else(invalid_cursor)
}

fn decode_listed(cursor: &str) -> Option<TaskCursor> {
    let text = decode(cursor)?;
    let (created_at, id) = text.strip_prefix("t.")?.split_once('.')?;
    let place = TaskCursor { created_at: UnixMillis(created_at.parse().ok()?), id: id.parse().ok()? };
    (encode_listed(&place) == cursor).then_some(place)
}

/// Encodes the position after this page in the list of its task's pages.
pub(crate) fn encode_page(page: PageRef) -> String {
    encode(&format!("p.{}.{}", page.document, page.page))
}

/// Decodes a position in the list of this task's pages.
pub(crate) fn parse_page(task: &Task, cursor: &str) -> Result<PageRef, Problem> {
    decode_page(task, cursor).ok_or_else(invalid_cursor)
}

fn decode_page(task: &Task, cursor: &str) -> Option<PageRef> {
    let text = decode(cursor)?;
    let (document, page) = text.strip_prefix("p.")?.split_once('.')?;
    let page = PageRef { task_id: task.id, document: document.parse().ok()?, page: page.parse().ok()? };
    (encode_page(page) == cursor).then_some(page)
}

/// Encodes a position as base64url.
pub(crate) fn encode(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// Decodes a cursor; returns `None` if it is not base64url of UTF-8.
pub(crate) fn decode(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// Returns the problem of an invalid cursor.
pub(crate) fn invalid_cursor() -> Problem {
    Problem::invalid_field("cursor", "Invalid cursor; expected `next` of an earlier response of this list.")
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
        fn a_cursor_round_trips(name in ".*", created_at: i64, document: u32, page: u32) {
            let task = a_task(&name);
            let place = TaskCursor { created_at: UnixMillis(created_at), id: task.id };
            prop_assert_eq!(decode_listed(&encode_listed(&place)), Some(place));
            let place = PageRef { task_id: task.id, document, page };
            prop_assert_eq!(decode_page(&task, &encode_page(place)), Some(place));
        }

        #[test]
        fn an_invalid_cursor_is_refused(text in ".*", raw in ".*") {
            let task = a_task("a task");
            for cursor in [text, encode(&raw), encode(&format!("t.{raw}")), encode(&format!("p.{raw}"))] {
                prop_assert!(decode_listed(&cursor).is_none_or(|place| encode_listed(&place) == cursor));
                prop_assert!(decode_page(&task, &cursor).is_none_or(|place| encode_page(place) == cursor));
            }
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let task = a_task("a task");
        let (listed, page) = (TaskCursor::at(&task), PageRef { task_id: task.id, document: 1, page: 2 });
        assert!(decode_page(&task, &encode_listed(&listed)).is_none() && decode_listed(&encode_page(page)).is_none());
        for other in ["", "!", &encode("t.07.x"), &encode(&format!("t.+7.{}", task.id)), &encode("p.01.2")] {
            assert!(decode_listed(other).is_none() && decode_page(&task, other).is_none(), "{other}");
        }
    }
}
