//! Pages that need review by an operator: no engine could read them, or their confidence is below their route's
//! threshold.

mod correct;
mod entry;
mod inspect;

pub use correct::correct_review;
pub use entry::{ReviewCase, ReviewDetail, ReviewOutcome, ReviewStatus};
pub use inspect::{accept_review, list_reviews, show_review};
