//! The options of a task.

use std::time::Duration;

use quire_tasks::{Callback, DEFAULT_RETENTION, Mode, RedactPolicy, Task, TextLayerPolicy};

/// How documents are read.
///
/// ```
/// use quire_submit::ReadOptions;
///
/// // The default reads plain text with the engine that the routes assign.
/// assert_eq!(ReadOptions::default().engine, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The output of each page. Default: text.
    pub mode: Mode,
    /// Pins the engine: `name@version`, or a name that has only one version here. Default: the engine of the mode's
    /// route.
    pub engine: Option<String>,
    /// Whether the text that a PDF itself contains is used. Default: where it agrees with what is printed.
    pub text_layer: TextLayerPolicy,
}

/// The tags, retention, redaction, words and callback of a task.
#[derive(Debug)]
pub(crate) struct TaskOptions {
    pub(crate) tags: Vec<String>,
    pub(crate) retention: Duration,
    pub(crate) redact: Option<RedactPolicy>,
    pub(crate) words: bool,
    pub(crate) callback: Option<Callback>,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { tags: Vec::new(), retention: DEFAULT_RETENTION, redact: None, words: false, callback: None }
    }
}

impl TaskOptions {
    /// Returns the task with these options.
    pub(crate) fn apply(self, task: Task) -> Task {
        let task = task.with_retention(self.retention).with_tags(self.tags).with_redaction(self.redact);
        let task = task.with_words(self.words);
        Task { callback: self.callback, ..task }
    }
}
