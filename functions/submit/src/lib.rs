//! The front door: the HTTP API, and the second door behind the documents queue.
//!
//! A request that carries bytes is written to spool files while it arrives (`form`), checked document by document
//! (`check`), and only then made a task (`accept`): what is refused is never stored. A URL is made a task at once and
//! fetched behind the documents queue ([`ingest`]); so is an upload that a customer announces (`uploads`), or puts into
//! the store without a word ([`take_uploads`]). What a crash leaves between the table and the queues, [`sweep`] sends
//! again. The file of each call is named after it; all answers are made in `answer`, all errors in `problem`.
//!
//! On one machine all of this is one process; as Lambda functions they are four, each a thin program in `bin`.

mod accept;
mod answer;
mod asynchronous;
mod auth;
mod batch;
mod caller;
mod cancel;
mod carry;
mod check;
mod child_inspector;
mod child_pictures;
mod codes;
mod compose;
mod create;
mod cursor;
mod delete;
mod deliveries;
mod dispatch;
mod door;
mod endpoints;
mod engines;
mod expiry;
mod fields;
mod form;
mod healthz;
mod idempotency;
mod inbox;
mod ingest;
mod inspector;
mod json;
pub mod lambda;
mod limits;
mod linger;
mod link;
mod list;
mod ocr;
mod openapi;
mod options;
mod pages;
mod parameters;
mod pictures;
mod prepare;
mod problem;
mod resend;
mod result;
mod retry;
mod router;
mod routing;
mod searchable;
mod settings;
mod summary;
mod task;
mod ticket;
mod trace;
mod uploads;
mod wanted;
mod webhooks;

pub use answer::{DocumentAnswer, PageAnswer, documents};
pub use batch::{Batch, submit};
pub use child_inspector::{ChildInspector, inspect_as_child};
pub use child_pictures::picture_as_child;
pub use dispatch::sweep;
pub use door::Door;
pub use engines::engines;
pub use expiry::sweep_expired;
pub use form::Upload;
pub use healthz::{Health, HealthReport};
pub use inbox::{StoreEvent, take_uploads};
pub use ingest::{ingest, ingest_all, ingest_one};
pub use inspector::Inspector;
pub use pictures::{Cover, PagePicture, Pictures, Shape};
pub use router::router;
pub use settings::{DoorSettings, KeyPolicy};
pub use wanted::Wanted;
