//! Where things are kept: objects, queues and the task table.
//!
//! The traits [`ObjectStore`], [`Queue`], [`TaskTable`], [`RecordStore`] and [`SecretStore`] say what Quire needs from wherever
//! it runs; a [`Home`] holds one of each. [`Embedded`] is the home on one machine, made of files and SQLite; [`Aws`] is the
//! one made of S3, SQS and DynamoDB. Nothing outside this crate knows which home it is in, and only this crate names SQLite
//! and the AWS SDK. Every home passes [`conformance`].

mod aws;
mod clock;
pub mod conformance;
mod consumer;
mod embedded;
mod error;
mod forget;
mod home;
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

pub use aws::{Aws, AwsSettings, Handed};
pub use consumer::{Consumer, Delivery, Lease, Undecodable};
pub use embedded::Embedded;
pub use error::Error;
pub use forget::{forget_corrections, forget_page};
pub use home::Home;
pub use object_store::{Download, ObjectStore, UploadUrl};
pub use owe::{owe_callback, owe_progress};
pub use patience::patiently;
pub use purge::purge;
pub use queue::{Depth, Outgoing, Queue, QueueName, QueueSettings, Receipt, Received, send, send_later};
pub use record_store::{Record, RecordStore, Shelf};
pub use review::file_for_review;
pub use secret_store::{SecretName, SecretStore};
pub use task_table::{Completion, Listed, Reopen, TaskTable};

/// What every call here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
