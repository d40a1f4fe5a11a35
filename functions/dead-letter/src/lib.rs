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
mod document;
mod page;
mod record;
mod redrive;
mod review;
mod run;

pub use callback::handle_dead_callback;
pub use document::handle_dead_document;
pub use page::handle_dead_page;
pub use record::{DeadLetter, DeadLetterKind, UnknownDeadLetterKind, list_dead_letters, show_dead_letter};
pub use redrive::{DeadLetterSelection, RedriveOutcome, RedriveResult, redrive};
pub use review::{
    ReviewCase, ReviewDetail, ReviewOutcome, ReviewStatus, accept_review, correct_review, list_reviews, show_review,
};
pub use run::{DeadMessage, handle_all, run};
