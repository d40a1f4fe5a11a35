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
mod batch;
mod caller;
mod carry;
mod check;
mod child_inspector;
mod dispatch;
mod door;
mod engines;
mod form;
mod healthz;
mod inbox;
mod ingest;
mod inspector;
mod json;
pub mod lambda;
mod linger;
mod link;
mod ocr;
mod problem;
mod result;
mod router;
mod routing;
mod settings;
mod task;
mod trace;
mod uploads;
mod wanted;

pub use answer::{DocumentAnswer, PageAnswer, documents};
pub use batch::{Batch, submit};
pub use child_inspector::{ChildInspector, inspect_as_child};
pub use dispatch::sweep;
pub use door::Door;
pub use engines::engines;
pub use form::Upload;
pub use healthz::{Health, HealthReport};
pub use inbox::{StoreEvent, take_uploads};
pub use ingest::{ingest, ingest_all, ingest_one};
pub use inspector::Inspector;
pub use router::router;
pub use settings::DoorSettings;
pub use wanted::Wanted;
