//! The keys of all objects in the object store.

use std::fmt;

use crate::{PageRef, TaskId};

/// The key of an object in the object store; its `Display` is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKey {
    /// A document as the customer sent it.
    Document {
        /// The task.
        task_id: TaskId,
        /// The document's number, from 1.
        document: u32,
    },
    /// Where a customer uploads a task's document, before it is validated.
    Inbox {
        /// The task.
        task_id: TaskId,
    },
    /// The result of a page: a [`crate::PageText`] as JSON. Written once per round.
    PageText {
        /// The page.
        page: PageRef,
        /// The task's round.
        round: u32,
    },
    /// A result file of a whole task, e.g. a searchable PDF. Created again for each round.
    Result {
        /// The task.
        task_id: TaskId,
        /// The task's round.
        round: u32,
        /// The file name extension, e.g. `pdf`.
        ending: &'static str,
    },
    /// A dead letter, recorded for the operator.
    DeadLetter {
        /// The queue it came from: `documents`, `pages` or `callbacks`.
        queue: &'static str,
        /// Its name in that queue. It is derived from the message, so that recording it is idempotent.
        name: String,
    },
}

impl ObjectKey {
    /// Prefix of the keys of all uploads.
    pub const INBOX: &str = "inbox/";

    const PAGES: &str = "pages/";

    /// Returns the prefix of the keys of all page results of a task, and the suffix of those of one round.
    pub fn page_text_affixes(task_id: TaskId, round: u32) -> (String, String) {
        (format!("{}{task_id}/", Self::PAGES), format!(".{round}.json"))
    }

    /// Returns the task for which a key under [`ObjectKey::INBOX`] was issued, or `None` if a customer chose the key.
    pub fn inbox_task(key: &str) -> Option<TaskId> {
        key.strip_prefix(Self::INBOX)?.strip_suffix("/1")?.parse().ok()
    }

    /// Returns the prefixes of all keys that belong to a task. An upload under a key that a customer chose is not
    /// included: the task's documents contain that key.
    pub fn task_prefixes(task_id: TaskId) -> Vec<String> {
        let folders = ["documents/", Self::INBOX, Self::PAGES, "results/"];
        let folders = folders.into_iter().map(|folder| format!("{folder}{task_id}/"));
        let queues = ["documents", "pages", "callbacks"];
        let dead_letters = queues.into_iter().map(|queue| format!("{}{task_id}-", Self::dead_letter_prefix(queue)));
        folders.chain(dead_letters).collect()
    }

    /// Returns the prefix of the keys of all dead letters of one queue.
    pub fn dead_letter_prefix(queue: &str) -> String {
        format!("dead-letters/{queue}/")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document { task_id, document } => write!(f, "documents/{task_id}/{document}"),
            Self::Inbox { task_id } => write!(f, "{}{task_id}/1", Self::INBOX),
            Self::PageText { page, round } => {
                let PageRef { task_id, document, page } = page;
                write!(f, "{}{task_id}/{document}/{page}.{round}.json", Self::PAGES)
            }
            Self::Result { task_id, round, ending } => write!(f, "results/{task_id}/{round}.{ending}"),
            Self::DeadLetter { queue, name } => write!(f, "{}{name}.json", Self::dead_letter_prefix(queue)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_results_of_a_round_are_found_by_prefix_and_suffix() {
        let page = PageRef { task_id: TaskId::derive_from(&["a task"]), document: 1, page: 2 };
        let key = |round| ObjectKey::PageText { page, round }.to_string();
        let (prefix, suffix) = ObjectKey::page_text_affixes(page.task_id, 2);
        assert!(key(2).starts_with(&prefix) && key(2).ends_with(&suffix));
        assert!(!key(12).ends_with(&suffix) && !key(1).ends_with(&suffix));
    }

    #[test]
    fn only_issued_upload_keys_name_a_task() {
        let task_id = TaskId::derive_from(&["a task"]);
        assert_eq!(ObjectKey::inbox_task(&ObjectKey::Inbox { task_id }.to_string()), Some(task_id));
        let others = ["inbox/a.pdf", "inbox/task_12/1", &format!("inbox/{task_id}/2"), &format!("inbox/{task_id}/1/1")];
        for other in others {
            assert_eq!(ObjectKey::inbox_task(other), None, "{other}");
        }
        assert_eq!(ObjectKey::inbox_task(&format!("documents/{task_id}/1")), None);
    }
}
