//! Every object's key, in one place.

use std::fmt;

use crate::{PageRef, TaskId};

/// Where an object lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A document as it was sent.
    Document {
        /// The task.
        task_id: TaskId,
        /// The document's number, from 1.
        document: u32,
    },
    /// What was read on a page: a [`crate::PageText`] as JSON. Written once in a round.
    PageText {
        /// The page.
        page: PageRef,
        /// The task's round.
        round: u32,
    },
    /// A dead letter, filed for the operator.
    DeadLetter {
        /// The queue it came from: `documents`, `pages` or `callbacks`.
        queue: &'static str,
        /// Its name in that queue's file: unique for what it is about, so that filing twice is filing once.
        name: String,
    },
}

impl Key {
    /// What all keys of the dead letters of one queue begin with.
    pub fn dead_letters_of(queue: &str) -> String {
        format!("dead-letters/{queue}/")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document { task_id, document } => write!(f, "documents/{task_id}/{document}"),
            Self::PageText { page, round } => {
                let PageRef { task_id, document, page } = page;
                write!(f, "pages/{task_id}/{document}/{page}.{round}.json")
            }
            Self::DeadLetter { queue, name } => write!(f, "{}{name}.json", Self::dead_letters_of(queue)),
        }
    }
}
