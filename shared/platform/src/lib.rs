//! The backend as ports: object store, queues, task table, records and secrets.
//!
//! The traits [`ObjectStore`], [`Queue`], [`TaskTable`], [`RecordStore`] and [`SecretStore`] are what Quire needs from
//! a backend; a [`Backend`] holds one of each. Two adapters implement them: `quire-platform-embedded` on files and
//! SQLite, and `quire-platform-aws` on S3, SQS and `DynamoDB`. Only binaries choose an adapter: all other code depends
//! on this crate and does not know which backend it runs on. Every adapter passes the [`conformance`] suite.

mod backend;
mod clock;
pub mod conformance;
pub mod consumer;
pub mod engine_status;
mod enqueue_callback;
mod error;
mod object_store;
mod orphans;
mod page_batches;
mod page_text;
mod purge;
mod queue;
pub mod records;
mod retry;
mod review;
mod secret_store;
mod task_table;

pub use backend::Backend;
pub use clock::now;
pub use consumer::{Consumer, Delivery, Lease, MalformedMessage, Received};
pub use enqueue_callback::{enqueue_callback, enqueue_progress};
pub use error::Error;
pub use object_store::{DiskSpace, Download, ObjectStore, UploadUrl};
pub use orphans::{delete_orphaned_corrections, delete_orphaned_page};
pub use page_batches::PageBatches;
pub use page_text::{StoredPageText, read_page_text};
pub use purge::purge;
pub use queue::{
    OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, send, send_delayed,
};
pub use records::{Collection, Record, RecordStore};
pub use retry::retry_with_backoff;
pub use review::file_for_review;
pub use secret_store::{SecretName, SecretStore};
pub use task_table::{Completion, Reopen, TaskCursor, TaskTable};

/// The result of every call to a backend.
pub type Result<T, E = Error> = std::result::Result<T, E>;
