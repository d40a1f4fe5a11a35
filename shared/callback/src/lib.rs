//! What the customer is told when a task has ended, how it is signed, and when it is told again.
//!
//! Signatures and headers are those of Standard Webhooks. All of it is pure: no I/O and no clock, and randomness is
//! passed in.

#![warn(missing_docs)]

mod payload;
mod schedule;
mod secret;
mod signature;
mod verdict;

pub use payload::{MAX_TEXT_BYTES, ReadPage, payload};
pub use schedule::{InvalidSchedule, LONGEST_RETRY_AFTER, Schedule};
pub use secret::{InvalidSecret, Secret, Secrets};
pub use signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, headers, sign};
pub use verdict::{Verdict, verdict};
