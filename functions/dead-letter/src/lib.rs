//! What becomes of messages past their last attempt, so that every task still ends.
//!
//! A dead page or document fails with its reason, a dead callback is given up; then each is filed as an object for the
//! operator, who can [`list`], [`show`] and [`redrive`] them. Every step may be repeated: a message is acknowledged
//! last, and filed under a name made of what it is about.
//!
//! A page that nobody could read, or that its engine was not sure of, is also filed for review: an operator can
//! [list](list_reviews) and [look at](show_review) such pages, [accept](accept_review) them as they are, or
//! [write](correct_review) what they say.

mod callback;
mod correct;
mod document;
mod letter;
mod page;
mod redrive;
mod review;
mod run;

pub use callback::bury_callback;
pub use correct::correct_review;
pub use document::bury_document;
pub use letter::{DeadLetter, Kind, UnknownKind, list, show};
pub use page::bury_page;
pub use redrive::{RedriveOutcome, Redriven, Selection, redrive};
pub use review::{ReviewCase, ReviewOutcome, ReviewSheet, Standing, accept_review, list_reviews, show_review};
pub use run::{Mortal, bury_all, run};
