//! Handles messages of the dead-letter queues, so that every task ends.
//!
//! A dead page or document fails with its reason, a dead callback is exhausted. Each is then recorded as an object,
//! which an operator can list ([`list_dead_letters`]), show ([`show_dead_letter`]) and redrive ([`redrive`]). All
//! steps are idempotent: a message is acknowledged last, and the record's name is derived from the message.
//!
//! A page that no engine could read, or that was read with low confidence, also needs review. An operator can list
//! ([`list_reviews`]) and show ([`show_review`]) such pages, and accept ([`accept_review`]) or correct
//! ([`correct_review`]) them.

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
