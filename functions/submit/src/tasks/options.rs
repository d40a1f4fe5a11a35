//! What a request says of its task: how documents are read, how long it is kept, what it is called, what is taken out of
//! it, and how its end is told.

use std::time::Duration;

use quire_tasks::{Callback, DEFAULT_RETENTION, Mode, RedactPolicy, Task};

/// How a customer wants documents to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is to be made of each page.
    pub mode: Mode,
    /// The engine that is to read them, and no other: `name@version`, or a name that has one version here. Without it,
    /// the mode's route says who reads.
    pub engine: Option<String>,
}

/// The options of a task.
#[derive(Debug)]
pub(crate) struct TaskOptions {
    pub(crate) tags: Vec<String>,
    pub(crate) retention: Duration,
    pub(crate) redact: Option<RedactPolicy>,
    pub(crate) callback: Option<Callback>,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { tags: Vec::new(), retention: DEFAULT_RETENTION, redact: None, callback: None }
    }
}

impl TaskOptions {
    /// The task with these options.
    pub(crate) fn of_task(self, task: Task) -> Task {
        let task = task.kept_for(self.retention).tagged(self.tags).redacted(self.redact);
        Task { callback: self.callback, ..task }
    }
}
