//! The front door: the HTTP API, and the second door behind the documents queue.
//!
//! A request that carries bytes is written to spool files while it arrives (`upload`), checked document by document
//! (`check`), and only then made a task (`accept`): what is refused is never stored. A URL is made a task at once and
//! fetched behind the documents queue ([`ingest`]). What a crash leaves between the table and the queues, [`sweep`]
//! sends again. The file of each call is named after it; all answers are made in `answer`, all errors in `problem`.

mod accept;
mod answer;
mod asynchronous;
mod batch;
mod check;
mod dispatch;
mod door;
mod healthz;
mod ingest;
mod inspector;
mod linger;
mod link;
mod ocr;
mod problem;
mod router;
mod settings;
mod task;
mod upload;

pub use answer::{DocumentAnswer, PageAnswer, documents};
pub use batch::{Batch, submit};
pub use dispatch::sweep;
pub use door::Door;
pub use healthz::{Health, HealthReport};
pub use ingest::{ingest, ingest_one};
pub use inspector::Inspector;
pub use router::router;
pub use settings::DoorSettings;
pub use upload::Upload;
