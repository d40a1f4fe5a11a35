//! What a result is called.

use quire_tasks::Task;

/// The file's name, where there is one file.
pub(crate) fn file_name(task: &Task) -> Option<&str> {
    let [document] = &task.documents[..] else { return None };
    document.name.as_deref()
}

/// Returns the title of a task's result: its file's name, or its id.
pub(crate) fn title(task: &Task) -> String {
    file_name(task).map_or_else(|| task.id.to_string(), str::to_owned)
}
