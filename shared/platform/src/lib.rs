//! Where things are kept: objects, queues and the task table.
//!
//! The three traits [`ObjectStore`], [`Queue`] and [`TaskTable`] say what Quire needs from wherever it runs; a [`Home`]
//! holds one of each. [`Embedded`] is the home on one machine, made of files and SQLite; [`Aws`] is the one made of S3,
//! SQS and DynamoDB. Nothing outside this crate knows which home it is in, and only this crate names SQLite and the
//! AWS SDK. Every home passes [`conformance`].

mod aws;
mod clock;
pub mod conformance;
mod consumer;
mod embedded;
mod error;
mod home;
mod object_store;
mod owe;
mod patience;
mod queue;
mod task_table;
mod transitions;

pub use aws::{Aws, AwsSettings};
pub use consumer::{Consumer, Delivery, Lease, Undecodable};
pub use embedded::Embedded;
pub use error::Error;
pub use home::Home;
pub use object_store::ObjectStore;
pub use owe::owe_callback;
pub use patience::patiently;
pub use queue::{Depth, Outgoing, Queue, QueueName, QueueSettings, Receipt, Received, send};
pub use task_table::{Completion, TaskTable};

/// What every call here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
