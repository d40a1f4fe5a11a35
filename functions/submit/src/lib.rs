//! The front door: the HTTP API, and the second door behind the documents queue.
//!
//! A request that carries bytes is written to spool files while it arrives (`form`), checked document by document
//! (`check`), and only then made a task (`accept`): what is refused is never stored. A URL is made a task at once and
//! fetched behind the documents queue ([`ingest`]); so is an upload that a customer announces (`uploads`), or puts into
//! the store without a word ([`take_uploads`]). What a crash leaves between the table and the queues, [`sweep`] sends
//! again. The file of each call is named after it; all answers are made in `answer`, all errors in `problem`.
//!
//! On one machine all of this is one process; as Lambda functions they are four, each a thin program in `bin`.

mod documents;
mod health;
mod http;
pub mod lambda;
mod limits;
mod settings;
mod state;
mod tasks;
mod time;

pub use documents::{
    batch::{BatchSubmission, submit},
    child_inspector::{ChildInspector, inspect_as_child},
    child_page_images::render_as_child,
    ingest::{ingest, ingest_all, ingest_one},
    inspector::Inspector,
    page_images::{ImageRedaction, PageImages, PageJpeg, PageJpegShape},
    validation::UploadedFile,
};
pub use health::{Health, HealthReport};
pub use http::{engines::engine_health, router::router};
pub use settings::{KeyPolicy, SubmitSettings};
pub use state::AppState;
pub use tasks::{
    answers::{DocumentAnswer, PageAnswer, document_answers},
    dispatch::sweep_undispatched,
    options::ReadOptions,
    retention::sweep_expired,
    upload_trigger::{UploadEvent, handle_upload_event},
};
