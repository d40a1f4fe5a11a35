//! What becomes of messages past their last attempt, so that every task still ends.
//!
//! A dead page or document fails with its reason, a dead callback is given up; then each is filed as an object for the
//! operator, who can [`list`], [`show`] and [`redrive`] them. Every step may be repeated: a message is acknowledged
//! last, and filed under a name made of what it is about.

mod callback;
mod document;
mod letter;
mod page;
mod redrive;
mod run;

pub use callback::bury_callback;
pub use document::bury_document;
pub use letter::{DeadLetter, Kind, UnknownKind, list, show};
pub use page::bury_page;
pub use redrive::{RedriveOutcome, Redriven, Selection, redrive};
pub use run::{Mortal, bury_all, run};
