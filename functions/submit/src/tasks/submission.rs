//! What a new task is made of.

use quire_tasks::{Failure, ReadAs, Source, Split, Tenant, TraceParent};
use tempfile::TempPath;

use crate::tasks::options::TaskOptions;

/// What becomes a task.
#[derive(Debug)]
pub(crate) struct Submission {
    /// Whose it is.
    pub(crate) tenant: Tenant,
    pub(crate) read_as: ReadAs,
    pub(crate) content: TaskContent,
    pub(crate) options: TaskOptions,
    pub(crate) trace: TraceParent,
}

/// What a new task is made of.
#[derive(Debug)]
pub(crate) enum TaskContent {
    /// Documents in hand, in the order sent.
    Files(Vec<ValidatedFile>),
    /// A document to be had later.
    Pending { name: Option<String>, source: Source },
}

/// A document that was checked: in the spool with what was found, or why it is refused.
#[derive(Debug)]
pub(crate) struct ValidatedFile {
    /// The file name that came with it.
    pub(crate) name: Option<String>,
    /// Deleted when it is dropped.
    pub(crate) file: Result<(TempPath, Split), Failure>,
}
