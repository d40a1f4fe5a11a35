//! Where things are kept: objects, queues and the task table.
//!
//! The traits [`ObjectStore`], [`Queue`], [`TaskTable`], [`RecordStore`] and [`SecretStore`] say what Quire needs from wherever
//! it runs; a [`Backend`] holds one of each. [`Embedded`] is the backend on one machine, made of files and SQLite; [`Aws`] is the
//! one made of S3, SQS and DynamoDB. Nothing outside this crate knows which backend it is in, and only this crate names SQLite
//! and the AWS SDK. Every backend passes [`conformance`].

mod aws;
mod backend;
mod clock;
pub mod conformance;
mod consumer;
mod embedded;
mod error;
mod forget;
mod object_store;
mod owe;
mod patience;
mod purge;
mod queue;
mod record_store;
mod review;
mod secret_store;
mod task_table;
mod transitions;

pub use aws::{Aws, AwsSettings, LambdaBatch};
pub use backend::Backend;
pub use consumer::{Consumer, Delivery, Lease, MalformedMessage};
pub use embedded::Embedded;
pub use error::Error;
pub use forget::{forget_corrections, forget_page};
pub use object_store::{Download, ObjectStore, UploadUrl};
pub use owe::{enqueue_callback, enqueue_progress};
pub use patience::retry_with_backoff;
pub use purge::purge;
pub use queue::{
    OutgoingMessage, Queue, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, send, send_later,
};
pub use record_store::{Collection, Record, RecordStore};
pub use review::file_for_review;
pub use secret_store::{SecretName, SecretStore};
pub use task_table::{Completion, Listed, Reopen, TaskTable};

/// What every call here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
