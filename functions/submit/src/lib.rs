//! Submits documents: the HTTP API, the upload trigger, the ingest function and the sweeper.
//!
//! - `http`: the HTTP API. One file per call, problem details, authentication, rate limits.
//! - `tasks`: creates tasks, idempotently, dispatches their messages, and deletes them after their
//!   retention period.
//! - `documents`: fetches, validates and splits documents; makes searchable PDFs.
//! - `server`: accepts connections within limits, for a process that serves the API itself.
//!
//! A request with files is streamed to the spool, each file is validated in a child process, and only then a task is
//! created: a refused file is never stored. A URL or an announced upload becomes a task at once and is fetched by
//! [`ingest`], a consumer of the documents queue. [`sweep_undispatched`] sends the messages that a crash left unsent.
//!
//! On one machine all of this is one process; on AWS it is four Lambda functions, one per program in `src/bin`.

mod documents;
mod health;
mod http;
pub mod lambda;
mod limits;
mod pools;
mod server;
mod settings;
mod state;
mod tasks;
mod time;

pub use documents::{
    batch::{BatchSubmission, submit},
    child_inspector::ChildInspector,
    ingest::{ingest, ingest_all, ingest_one},
    inspector::Inspector,
    page_images::{ImageRedaction, PageImages, PageJpeg, PageJpegShape},
    validation::UploadedFile,
};
pub use health::{Health, HealthReport};
pub use http::{
    engines::engine_health,
    router::{local_router, router},
};
pub use server::{ConnectionLimits, ConnectionTimeouts, ServerSettings, serve_http};
pub use settings::{KeyPolicy, SubmitSettings};
pub use state::AppState;
pub use tasks::{
    answers::{DocumentAnswer, PageAnswer, document_answers},
    dispatch::sweep_undispatched,
    options::ReadOptions,
    retention::sweep_expired,
    upload_trigger::{UploadEvent, handle_upload_event},
};
