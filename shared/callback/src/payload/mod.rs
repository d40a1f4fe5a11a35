//! The bodies of callbacks, as JSON.

mod common_fields;
mod full;
mod thin;

pub use common_fields::{PROGRESS_EVENT, PageCounts, TEST_EVENT, completion_event};
pub use full::{MAX_PAGES, MAX_TEXT_BYTES, PageContent, full_payload, full_payload_without_pages};
pub use thin::{progress_payload, test_payload, thin_payload};
