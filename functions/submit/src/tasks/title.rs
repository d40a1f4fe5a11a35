//! The title of a result.

use quire_tasks::Task;

/// Returns the file name of the task's document, if it has exactly one document.
pub(crate) fn file_name(task: &Task) -> Option<&str> {
    let [document] = &task.documents[..] else { return None };
    document.name.as_deref()
}

/// Returns the title of a task's result: its file name. Default: its id.
pub(crate) fn title(task: &Task) -> String {
    file_name(task).map_or_else(|| task.id.to_string(), str::to_owned)
}
