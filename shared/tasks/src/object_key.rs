//! Every object's key, in one place.

use std::fmt;

use crate::{PageRef, TaskId};

/// Where an object lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKey {
    /// A document as it was sent.
    Document {
        /// The task.
        task_id: TaskId,
        /// The document's number, from 1.
        document: u32,
    },
    /// Where a customer uploads a task's document, before it is checked.
    Inbox {
        /// The task.
        task_id: TaskId,
    },
    /// What was read on a page: a [`crate::PageText`] as JSON. Written once in a round.
    PageText {
        /// The page.
        page: PageRef,
        /// The task's round.
        round: u32,
    },
    /// What was made of a whole task, to be fetched: a searchable PDF, say. Made anew for each round.
    Result {
        /// The task.
        task_id: TaskId,
        /// The task's round.
        round: u32,
        /// The file's ending: `pdf`, say.
        ending: &'static str,
    },
    /// A dead letter, filed for the operator.
    DeadLetter {
        /// The queue it came from: `documents`, `pages` or `callbacks`.
        queue: &'static str,
        /// Its name in that queue's file: unique for what it is about, so that filing twice is filing once.
        name: String,
    },
}

impl ObjectKey {
    /// What the keys of all that customers upload begin with.
    pub const INBOX: &str = "inbox/";

    const PAGES: &str = "pages/";

    /// What the keys of all that was read of a task begin with, and what those of one of its rounds end with.
    pub fn page_text_affixes(task_id: TaskId, round: u32) -> (String, String) {
        (format!("{}{task_id}/", Self::PAGES), format!(".{round}.json"))
    }

    /// The task that a key under [`ObjectKey::INBOX`] was given out for; none where somebody chose the key on their own.
    pub fn inbox_task(key: &str) -> Option<TaskId> {
        key.strip_prefix(Self::INBOX)?.strip_suffix("/1")?.parse().ok()
    }

    /// What the keys of all that is kept for a task begin with, each. An upload whose key a customer chose is not among
    /// them: the task's documents name it.
    pub fn task_prefixes(task_id: TaskId) -> Vec<String> {
        let folders = ["documents/", Self::INBOX, Self::PAGES, "results/"];
        let folders = folders.into_iter().map(|folder| format!("{folder}{task_id}/"));
        let letters = ["documents", "pages", "callbacks"];
        folders
            .chain(letters.into_iter().map(|queue| format!("{}{task_id}-", Self::dead_letter_prefix(queue))))
            .collect()
    }

    /// What all keys of the dead letters of one queue begin with.
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
    fn what_was_read_in_a_round_is_found_by_its_task_and_round() {
        let page = PageRef { task_id: TaskId::derive_from(&["a task"]), document: 1, page: 2 };
        let key = |round| ObjectKey::PageText { page, round }.to_string();
        let (begins, ends) = ObjectKey::page_text_affixes(page.task_id, 2);
        assert!(key(2).starts_with(&begins) && key(2).ends_with(&ends));
        assert!(!key(12).ends_with(&ends) && !key(1).ends_with(&ends));
    }

    #[test]
    fn the_key_of_an_upload_names_its_task_and_other_keys_name_none() {
        let task_id = TaskId::derive_from(&["a task"]);
        assert_eq!(ObjectKey::inbox_task(&ObjectKey::Inbox { task_id }.to_string()), Some(task_id));
        let others = ["inbox/a.pdf", "inbox/task_12/1", &format!("inbox/{task_id}/2"), &format!("inbox/{task_id}/1/1")];
        for other in others {
            assert_eq!(ObjectKey::inbox_task(other), None, "{other}");
        }
        assert_eq!(ObjectKey::inbox_task(&format!("documents/{task_id}/1")), None);
    }
}
