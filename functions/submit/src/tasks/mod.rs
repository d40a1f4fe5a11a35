//! Tasks: creation, dispatch to the queues, results and retention.

pub(crate) mod answers;
pub(crate) mod charge;
pub(crate) mod create_task;
pub(crate) mod dispatch;
pub(crate) mod document_fold;
pub(crate) mod file_name;
pub(crate) mod idempotency;
pub(crate) mod options;
pub(crate) mod page_texts;
pub(crate) mod pages_by_document;
pub(crate) mod result_buffer;
pub(crate) mod retention;
pub(crate) mod routing;
pub(crate) mod submission;
pub(crate) mod task_json;
pub(crate) mod task_text;
pub(crate) mod title;
pub(crate) mod trace;
pub(crate) mod upload_trigger;
pub(crate) mod wait;
