//! What a new task consists of.

use quire_tasks::{DocumentSource, Failure, ReadAs, SplitDocument, Tenant, TraceParent};
use tempfile::TempPath;

use crate::tasks::options::TaskOptions;

/// A task to be created.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) tenant: Tenant,
    pub(crate) read_as: ReadAs,
    pub(crate) content: TaskContent,
    pub(crate) options: TaskOptions,
    pub(crate) trace: TraceParent,
}

/// The documents of a new task.
#[derive(Debug)]
pub(crate) enum TaskContent {
    /// Received files, in the order sent.
    Files(Vec<ValidatedFile>),
    /// A document that ingest fetches later.
    Pending { name: Option<String>, source: DocumentSource },
}

/// A validated file.
#[derive(Debug)]
pub(crate) struct ValidatedFile {
    /// The file name that was sent.
    pub(crate) name: Option<String>,
    /// Its spool file, which is deleted on drop, with the format and number of pages; or why it is refused.
    pub(crate) file: Result<(TempPath, SplitDocument), Failure>,
}
